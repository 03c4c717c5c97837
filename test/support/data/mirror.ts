/** One change, as a client that mirrors a tree needs it. */
export type MirrorChange =
  | { kind: 'upserted'; id: string; name: string; parentId: string | null }
  | { kind: 'removed'; id: string }
export type Tree = Map<string, { name: string; parentId: string | null }>

/** A small sync client: keeps names and parents by id, and applies changes in the order received. */
export class Mirror {
  readonly tree: Tree = new Map()

  apply(changes: readonly MirrorChange[]) {
    for (const change of changes) {
      if (change.kind === 'removed') this.#drop(change.id)
      else this.tree.set(change.id, { name: change.name, parentId: change.parentId })
    }
  }

  /** Removes an entry with its subtree. */
  #drop(id: string) {
    this.tree.delete(id)
    for (const [child, { parentId }] of [...this.tree]) if (parentId === id) this.#drop(child)
  }
}
