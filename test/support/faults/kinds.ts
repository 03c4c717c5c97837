/** One call through which something passes on its way to the disk, the database or the bucket. */
export type Step = {
  where: 'disk' | 'rows' | 'bucket'
  /** The call, or the beginning of the statement. */
  name: string
  /** Something is otherwise after it, also for whoever comes after a crash. */
  lasts: boolean
  /** It wants room on the disk. */
  wantsRoom: boolean
  /** It wants a file descriptor. */
  opens: boolean
  /** It changes rows, be it only within a transaction. */
  writes: boolean
}

export const step = (
  where: Step['where'],
  name: string,
  traits: Partial<Omit<Step, 'where' | 'name'>> = {},
): Step => ({
  ...{ where, name, lasts: false, wantsRoom: false, opens: false, writes: false },
  ...traits,
})

/** What may befall a step, and which steps it can befall. */
export const meets = {
  KILL_BEFORE: () => true,
  KILL_AFTER: ({ lasts }: Step) => lasts,
  /** The disk is full: of bytes, of rows. */
  ENOSPC: ({ wantsRoom }: Step) => wantsRoom,
  EIO: ({ where }: Step) => where !== 'bucket',
  EMFILE: ({ opens }: Step) => opens,
  /** Mounted read-only in the middle of it all. */
  EROFS: ({ where, lasts }: Step) => where !== 'bucket' && lasts,
  /** Another process holds the database for longer than anybody waits. */
  BUSY: ({ where, writes }: Step) => where === 'rows' && writes,
  /** No answer, and nothing was done. */
  TIMEOUT: ({ where }: Step) => where !== 'disk',
  /** It was done; the answer is an error all the same. */
  LOST: ({ where, lasts }: Step) => lasts || where === 'bucket',
  RESET: ({ where }: Step) => where !== 'disk',
  /** S3: slow down. */
  S503: ({ where }: Step) => where === 'bucket',
  S500: ({ where }: Step) => where === 'bucket',
} satisfies Record<string, (step: Step) => boolean>

export type Fault = keyof typeof meets
export const isKill = (fault: Fault) => fault.startsWith('KILL')

/** What is to befall the `at`-th of the steps that it can befall (from 1), and, `forGood`, each one after it. */
export type Armed = { fault: Fault; at: number; forGood: boolean; everywhere: boolean }

export type Tally = {
  /** How many of the steps that it can befall there were. */
  seen: number
  struck: string[]
  /** All steps that counted. */
  trace: string[]
}

export type Order = { arm: Armed | null }
