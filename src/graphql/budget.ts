import { GraphQLError } from 'graphql'
import { type DomainError, QueryTooComplex, RequestTimeout } from '../errors.ts'

export type ResponseLimits = {
  /** Objects in one answer, at every level together. */
  maxResponseNodes: number
  maxResponseBytes: number
}
type Failure = { errors: GraphQLError[] }

/** The payload of a mutation that was running at the deadline is still read, for so long. */
const PAYLOAD_MS = 5_000
/** So often the clock is looked at. */
const FIELDS_PER_LOOK = 64
/** Quotes, colon and comma. */
const AROUND_A_VALUE = 4

/**
 * What one execution may still produce, and whether it has to stop. The estimate of costs.ts is refused before anything is
 * read; this counts what the resolvers really give. Reads stop at once. A mutation field that has begun is left to finish, since
 * a transaction is never given up half way; the fields after it are not begun.
 */
export class ExecutionBudget {
  /** Why nothing more is resolved, once that is so. */
  stopped: DomainError | GraphQLError | null = null
  private readonly limits: ResponseLimits
  private readonly ended = Promise.withResolvers<void>()
  private nodes = 0
  private bytes = 0
  private isMutating = false
  private isOverdue = false
  private fields = 0
  private deadline = Number.POSITIVE_INFINITY

  constructor(limits: ResponseLimits) {
    this.limits = limits
  }

  /** The result of `execute`, or the reason why it had to stop, as soon as that is known. */
  async run<T extends object>(execute: () => T | Promise<T>): Promise<T | Failure> {
    const result = this.stopped ? null : await Promise.race([execute(), this.ended.promise])
    if (!this.stopped && result) return result
    const { stopped } = this
    if (stopped instanceof GraphQLError) return { errors: [stopped] }
    return { errors: [new GraphQLError(stopped?.message ?? '', { originalError: stopped })] }
  }

  /** From now on the execution may take `timeoutMs`. */
  expireAfter(timeoutMs: number): Disposable {
    this.deadline = performance.now() + timeoutMs
    const timer = setTimeout(() => this.expire(), timeoutMs).unref()
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  }

  stop(reason: DomainError | GraphQLError) {
    this.stopped ??= reason
    if (!this.isMutating) this.ended.resolve()
  }

  private expire() {
    this.isOverdue = true
    if (!this.isMutating) this.stop(new RequestTimeout())
  }

  /** Runs one field of a mutation to its end. Throws RequestTimeout where the deadline has passed before it began. */
  async mutate<T>(work: () => T | Promise<T>): Promise<T> {
    if (this.stopped) throw this.stopped
    if (this.isOverdue) throw new RequestTimeout()
    this.isMutating = true
    try {
      return await work()
    } finally {
      this.isMutating = false
      if (this.stopped) this.ended.resolve()
      else if (this.isOverdue) this.expireAfter(PAYLOAD_MS)
    }
  }

  /** Counts one field by the length of its key. SQLite answers without a wait, and then no timer has its turn. */
  countField(keyLength: number) {
    this.countBytes(keyLength + AROUND_A_VALUE)
    if (++this.fields % FIELDS_PER_LOOK === 0 && performance.now() > this.deadline) this.expire()
  }

  countNodes(count: number) {
    const { maxResponseNodes: max } = this.limits
    this.nodes += count
    if (this.nodes > max) this.stop(new QueryTooComplex(`the answer has more than ${max} objects`))
  }

  countBytes(count: number) {
    const { maxResponseBytes: max } = this.limits
    this.bytes += count
    if (this.bytes > max) this.stop(new QueryTooComplex(`the answer has more than ${max} bytes`))
  }
}
