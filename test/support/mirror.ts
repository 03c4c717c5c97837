/** One change, as a client that keeps a copy of a tree needs it. */
export type Told =
  | { kind: 'upserted'; id: string; name: string; parentId: string | null }
  | { kind: 'removed'; id: string }
export type Tree = Map<string, { name: string; parentId: string | null }>

/** A small sync client: keeps names and parents by id, and applies what it is told in the order in which it is told. */
export class Mirror {
  readonly tree: Tree = new Map()

  apply(changes: readonly Told[]) {
    for (const change of changes) {
      if (change.kind === 'removed') this.#drop(change.id)
      else this.tree.set(change.id, { name: change.name, parentId: change.parentId })
    }
  }

  /** With all that lies below. */
  #drop(id: string) {
    this.tree.delete(id)
    for (const [child, { parentId }] of [...this.tree]) if (parentId === id) this.#drop(child)
  }
}
