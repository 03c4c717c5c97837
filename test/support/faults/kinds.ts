/** One call through which something passes on its way to the disk, the database or the bucket. */
export type Step = {
  where: 'disk' | 'sqlite' | 'postgres' | 'bucket'
  /** The call, or the beginning of the statement. */
  name: string
  /** Something is otherwise after it, also for whoever comes after a crash. */
  lasts: boolean
  /** It changes nothing but what a loss of power would leave: who is killed loses no byte that the system has taken. */
  syncs: boolean
  /** It wants room on the disk. */
  wantsRoom: boolean
  /** It wants a file descriptor. */
  opens: boolean
  /** It changes rows, be it only within a transaction. */
  writes: boolean
}
export type Traits = Partial<Omit<Step, 'where' | 'name'>>

export const step = (where: Step['where'], name: string, traits: Traits = {}): Step => ({
  ...{ where, name, lasts: false, syncs: false, wantsRoom: false, opens: false, writes: false },
  ...traits,
})

/** CompleteMultipartUpload. */
const completes = /^POST uploadId /

/** What may befall a step, and which steps it can befall. */
export const meets = {
  KILL_AFTER: ({ lasts, syncs }: Step) => lasts && !syncs,
  /** Only where rows are changed for good. */
  KILL_AFTER_ROWS: ({ where, lasts }: Step) =>
    lasts && (where === 'sqlite' || where === 'postgres'),
  /** Only where the bucket was changed. */
  KILL_AFTER_BUCKET: ({ where, lasts }: Step) => lasts && where === 'bucket',
  /** Before any other step that lasts, all is as it was after the one before. */
  KILL_BEFORE_COMMIT: ({ name }: Step) => /^commit/i.test(name),
  /** Between what changes nothing, too. */
  KILL_ANYWHERE: () => true,
  /** The disk is full: of bytes, of rows. */
  ENOSPC: ({ wantsRoom }: Step) => wantsRoom,
  EIO: ({ where, lasts }: Step) => where === 'disk' || (lasts && where !== 'bucket'),
  /** The same of rows of a transaction that has not ended. */
  EIO_ON_THE_WAY: ({ where, writes, lasts }: Step) =>
    writes && !lasts && where !== 'disk' && where !== 'bucket',
  /** The same of rows that are only read. */
  EIO_READING: ({ where, writes }: Step) => where !== 'disk' && where !== 'bucket' && !writes,
  EMFILE: ({ opens }: Step) => opens,
  /** Mounted read-only in the middle of it all. */
  EROFS: ({ where, lasts }: Step) => where !== 'bucket' && lasts,
  /** Another session holds what is wanted for longer than anybody waits. */
  BUSY: ({ where, writes, lasts }: Step) => (where === 'sqlite' ? lasts : writes),
  /** No answer, and nothing was done. */
  TIMEOUT: ({ where }: Step) => where === 'postgres' || where === 'bucket',
  RESET: ({ where, writes }: Step) => where === 'bucket' || (where === 'postgres' && writes),
  /** It was done; the answer is an error all the same. */
  LOST: ({ where, lasts }: Step) => lasts || where === 'bucket',
  /** The connection breaks where nothing was to last, before or after. */
  RESET_IN_PASSING: ({ where, writes }: Step) => where === 'postgres' && !writes,
  LOST_IN_PASSING: ({ where, lasts }: Step) => where === 'postgres' && !lasts,
  /** S3's own words for being too busy, and for being broken. */
  SLOW_DOWN: ({ where }: Step) => where === 'bucket',
  INTERNAL_ERROR: ({ where }: Step) => where === 'bucket',
  /** The bucket has done it, and nobody hears of it. */
  UNHEARD: ({ where }: Step) => where === 'bucket',
  /** The way breaks in the middle of what is sent. */
  CUT_SENDING: ({ where, name }: Step) => where === 'bucket' && /^PUT /.test(name),
  /** Nothing was done, and the answer begins as if it had been. */
  ERROR_IN_200: ({ where, name }: Step) => where === 'bucket' && completes.test(name),
  /** It was done; the answer names another object, or part, than there is. */
  WRONG_ETAG: ({ where, name }: Step) =>
    where === 'bucket' && (/^PUT /.test(name) || completes.test(name)),
  /** What is there cannot be seen yet. */
  NOT_YET: ({ where, name }: Step) => where === 'bucket' && /^(GET|HEAD) {2}/.test(name),
  /** The way breaks in the middle of an object that is read. */
  CUT_READING: ({ where, name }: Step) => where === 'bucket' && /^GET {2}/.test(name),
  /** The session of the credentials is over; the clock is wrong. */
  EXPIRED: ({ where }: Step) => where === 'bucket',
  SKEWED: ({ where }: Step) => where === 'bucket',
} satisfies Record<string, (step: Step) => boolean>

export type Fault = keyof typeof meets
export const isKill = (fault: Fault) => fault.startsWith('KILL')

/** What is to befall the `at`-th of the steps that it can befall (from 1), and, `forGood`, each one after it. */
export type Armed = { fault: Fault; at: number; forGood?: boolean; everywhere?: boolean }

export type Tally = {
  /** How many steps there were that it can befall. */
  seen: number
  struck: string[]
  /** All steps that counted. */
  trace: string[]
}
