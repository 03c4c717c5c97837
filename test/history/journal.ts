export type Sent = {
  workspaceId: string
  name: string
  size: number
  sha256: string
  /** Whether the upload confirms itself. */
  auto: boolean
  /** Whether the client was notified that the file exists. */
  acknowledged: boolean
  fileId: string | null
  trashed: 'no' | 'perhaps' | 'yes'
}
export type Made = { workspaceId: string; name: string; acknowledged: boolean }

/**
 * Records what clients did and which responses they got, and immediate contradictions of the documentation.
 */
export class Journal {
  readonly sent: Sent[] = []
  readonly made: Made[] = []
  readonly violations: string[] = []
  /** Counters: faults by kind, requests, and requests without a response. */
  readonly figures: Record<string, number> = {}
  readonly #writes = new Map<string, number[]>()

  count(what: string, by = 1) {
    this.figures[what] = (this.figures[what] ?? 0) + by
  }

  violation(what: string) {
    this.violations.push(what)
  }

  /** Records a successful write in this workspace. */
  wrote(workspaceId: string) {
    const moments = this.#writes.get(workspaceId) ?? []
    this.#writes.set(workspaceId, moments)
    moments.push(performance.now())
  }

  /** Returns the longest time between two successful writes of the same workspace, in ms. */
  longestGap(): number {
    const gaps = [...this.#writes.values()].flatMap((moments) =>
      moments.slice(1).map((moment, i) => moment - (moments[i] ?? 0)),
    )
    return Math.round(Math.max(0, ...gaps))
  }
}
