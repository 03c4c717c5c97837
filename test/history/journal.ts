export type Sent = {
  workspaceId: string
  name: string
  size: number
  sha256: string
  /** Whether it was to confirm itself. */
  auto: boolean
  /** Whether the client was told that the file exists. */
  acknowledged: boolean
  fileId: string | null
  trashed: 'no' | 'perhaps' | 'yes'
}
export type Made = { workspaceId: string; name: string; acknowledged: boolean }

/** What clients did and were told, and what contradicts the documentation at once. */
export class Journal {
  readonly sent: Sent[] = []
  readonly made: Made[] = []
  readonly violations: string[] = []
  /** Faults by kind, requests, and how many of these were left without an answer. */
  readonly figures: Record<string, number> = {}
  readonly #writes = new Map<string, number[]>()

  count(what: string, by = 1) {
    this.figures[what] = (this.figures[what] ?? 0) + by
  }

  violation(what: string) {
    this.violations.push(what)
  }

  /** A write in this workspace was answered with success. */
  wrote(workspaceId: string) {
    const moments = this.#writes.get(workspaceId) ?? []
    this.#writes.set(workspaceId, moments)
    moments.push(performance.now())
  }

  /** The longest time between two successful writes of any one workspace, in ms. */
  longestGap(): number {
    const gaps = [...this.#writes.values()].flatMap((moments) =>
      moments.slice(1).map((moment, i) => moment - (moments[i] ?? 0)),
    )
    return Math.round(Math.max(0, ...gaps))
  }
}
