import fc from 'fast-check'

/** A list of numbers that decides whatever has to be decided; where it ends, the first choice is taken. It shrinks as a list does. */
export class Tape {
  readonly #numbers: number[]
  #at = 0
  constructor(numbers: number[]) {
    this.#numbers = numbers
  }
  /** 0 to `below` - 1. */
  number(below: number): number {
    return (this.#numbers[this.#at++] ?? 0) % below
  }
  /** Once in so many times, and not at the end of the tape. */
  once(inTimes: number): boolean {
    return this.number(inTimes) === inTimes - 1
  }
  pick<T>(list: readonly [T, ...T[]] | readonly T[]): T {
    return list[this.number(list.length)] as T
  }
}

export const tapes = fc.array(fc.nat(0xffff), { maxLength: 300, size: 'max' })
