import { GraphQLError } from 'graphql'
import { RequestTimeout } from '../../errors/availability.ts'
import type { DomainError } from '../../errors/domain-error.ts'
import { QueryTooComplex } from '../../errors/input.ts'

export type ResponseLimits = {
  /** Maximum number of objects in one response, counted over all levels. */
  maxResponseNodes: number
  maxResponseBytes: number
}
type Failure = { errors: GraphQLError[] }

/** Time to read the payload of a mutation that was still running at the deadline. */
const PAYLOAD_TIMEOUT_MS = 5_000
/** Number of fields between two checks of the deadline. */
const FIELDS_PER_CLOCK_CHECK = 64
/** Quotes, colon and comma of one field in JSON. */
const FIELD_OVERHEAD_BYTES = 4

/**
 * Limits of one execution: objects, bytes and time. The cost limit rejects expensive queries before execution
 * by an estimate (costs.ts); this class counts what the resolvers return. Queries stop at once. A mutation
 * field that has started always runs to its end, because a transaction is never abandoned halfway; later
 * mutation fields do not start.
 */
export class ExecutionBudget {
  /** Why no further field is resolved, or null while the execution continues. */
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

  /** Returns the result of `execute`, or the error that stopped the execution as soon as it is known. */
  async run<T extends object>(execute: () => T | Promise<T>): Promise<T | Failure> {
    const result = this.stopped ? null : await Promise.race([execute(), this.ended.promise])
    if (!this.stopped && result) return result
    const { stopped } = this
    if (stopped instanceof GraphQLError) return { errors: [stopped] }
    return { errors: [new GraphQLError(stopped?.message ?? '', { originalError: stopped })] }
  }

  /** Sets the deadline to `timeoutMs` from now, until the result is disposed. */
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

  /** Runs one mutation field to its end. Throws RequestTimeout if the deadline passed before it started. */
  async mutate<T>(work: () => T | Promise<T>): Promise<T> {
    if (this.stopped) throw this.stopped
    if (this.isOverdue) throw new RequestTimeout()
    this.isMutating = true
    try {
      return await work()
    } finally {
      this.isMutating = false
      if (this.stopped) this.ended.resolve()
      else if (this.isOverdue) this.expireAfter(PAYLOAD_TIMEOUT_MS)
    }
  }

  /**
   * Counts one field with a key of `keyLength` bytes. SQLite never yields, so timers alone would not fire.
   */
  countField(keyLength: number) {
    this.countBytes(keyLength + FIELD_OVERHEAD_BYTES)
    if (++this.fields % FIELDS_PER_CLOCK_CHECK === 0 && performance.now() > this.deadline)
      this.expire()
  }

  countNodes(count: number) {
    const { maxResponseNodes: max } = this.limits
    this.nodes += count
    if (this.nodes > max) this.stop(new QueryTooComplex(`response has more than ${max} objects`))
  }

  countBytes(count: number) {
    const { maxResponseBytes: max } = this.limits
    this.bytes += count
    if (this.bytes > max) this.stop(new QueryTooComplex(`response has more than ${max} bytes`))
  }
}
