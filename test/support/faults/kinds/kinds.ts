/** One call of the server to the disk, the database or the bucket. */
export type Step = {
  where: 'disk' | 'sqlite' | 'postgres' | 'bucket'
  /** Name of the call, or the beginning of the statement. */
  name: string
  /** Whether it changes data that outlives a crash. */
  lasts: boolean
  /**
   * Whether it only protects data from a loss of power; a killed process loses no byte that the kernel has
   * accepted.
   */
  syncs: boolean
  /** Whether it allocates disk space. */
  wantsRoom: boolean
  /** Whether it opens a file descriptor. */
  opens: boolean
  /** Whether it changes rows, possibly within a transaction. */
  writes: boolean
}
export type Traits = Partial<Omit<Step, 'where' | 'name'>>

export const step = (where: Step['where'], name: string, traits: Traits = {}): Step => ({
  ...{ where, name, lasts: false, syncs: false, wantsRoom: false, opens: false, writes: false },
  ...traits,
})

/** Matches CompleteMultipartUpload. */
const completes = /^POST uploadId /

/** The faults, and the steps that each can strike. */
export const canStrike = {
  KILL_AFTER: ({ lasts, syncs }: Step) => lasts && !syncs,
  /** Only after a commit of rows. */
  KILL_AFTER_ROWS: ({ where, lasts }: Step) =>
    lasts && (where === 'sqlite' || where === 'postgres'),
  /** Only after a change in the bucket. */
  KILL_AFTER_BUCKET: ({ where, lasts }: Step) => lasts && where === 'bucket',
  /** Only before a commit: before any other lasting step the state is that after the previous one. */
  KILL_BEFORE_COMMIT: ({ name }: Step) => /^commit/i.test(name),
  /** Also between steps that change nothing. */
  KILL_ANYWHERE: () => true,
  /** The disk is full, for files or for the database. */
  ENOSPC: ({ wantsRoom }: Step) => wantsRoom,
  EIO: ({ where, lasts }: Step) => where === 'disk' || (lasts && where !== 'bucket'),
  /** EIO on a write within a transaction. */
  EIO_ON_THE_WAY: ({ where, writes, lasts }: Step) =>
    writes && !lasts && where !== 'disk' && where !== 'bucket',
  /** EIO on a read. */
  EIO_READING: ({ where, writes }: Step) => where !== 'disk' && where !== 'bucket' && !writes,
  EMFILE: ({ opens }: Step) => opens,
  /** The file system becomes read-only. */
  EROFS: ({ where, lasts }: Step) => where !== 'bucket' && lasts,
  /** Another session holds the lock for longer than any timeout. */
  BUSY: ({ where, writes, lasts }: Step) => (where === 'sqlite' ? lasts : writes),
  /** No response, and the step was not executed. */
  TIMEOUT: ({ where }: Step) => where === 'postgres' || where === 'bucket',
  RESET: ({ where, writes }: Step) => where === 'bucket' || (where === 'postgres' && writes),
  /** The step was executed, and the response is an error. */
  LOST: ({ where, lasts }: Step) => lasts || where === 'bucket',
  /** The connection breaks before or after a step that changes nothing. */
  RESET_IN_PASSING: ({ where, writes }: Step) => where === 'postgres' && !writes,
  LOST_IN_PASSING: ({ where, lasts }: Step) => where === 'postgres' && !lasts,
  /** The responses of S3 for an overload and for an internal error. */
  SLOW_DOWN: ({ where }: Step) => where === 'bucket',
  INTERNAL_ERROR: ({ where }: Step) => where === 'bucket',
  /** The bucket has executed the request, and the response is lost. */
  UNHEARD: ({ where }: Step) => where === 'bucket',
  /** The connection breaks while the body is sent. */
  CUT_SENDING: ({ where, name }: Step) => where === 'bucket' && /^PUT /.test(name),
  /** The request was not executed, and the response begins with status 200. */
  ERROR_IN_200: ({ where, name }: Step) => where === 'bucket' && completes.test(name),
  /** The request was executed, and the response has the ETag of another object or part. */
  WRONG_ETAG: ({ where, name }: Step) =>
    where === 'bucket' && (/^PUT /.test(name) || completes.test(name)),
  /** An object that exists is not visible yet. */
  NOT_YET: ({ where, name }: Step) => where === 'bucket' && /^(GET|HEAD) {2}/.test(name),
  /** The connection breaks while an object is read. */
  CUT_READING: ({ where, name }: Step) => where === 'bucket' && /^GET {2}/.test(name),
  /** The session of the credentials has expired; the clock is skewed. */
  EXPIRED: ({ where }: Step) => where === 'bucket',
  SKEWED: ({ where }: Step) => where === 'bucket',
} satisfies Record<string, (step: Step) => boolean>

export type Fault = keyof typeof canStrike
export const isKill = (fault: Fault) => fault.startsWith('KILL')

/** A fault for the `at`-th step that it can strike (from 1), and with `isPermanent` for every later one. */
export type Armed = { fault: Fault; at: number; isPermanent?: boolean; everywhere?: boolean }

export type Tally = {
  /** Number of steps that the fault could strike. */
  seen: number
  struck: string[]
  /** All steps that were counted. */
  trace: string[]
}
