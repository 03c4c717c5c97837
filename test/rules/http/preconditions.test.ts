import { describe, expect, test } from 'vitest'
import { evaluatePreconditions, ifRangeMatches } from '../../../src/http/download/preconditions.ts'

const etag = '"abc,def"'
const copy = { etag, modifiedAt: Date.UTC(1994, 10, 6, 8, 49, 37, 654) }
const then = 'Sun, 06 Nov 1994 08:49:37 GMT'
const before = 'Sun, 06 Nov 1994 08:49:36 GMT'
const after = 'Sun, 06 Nov 1994 08:49:38 GMT'

describe('conditions', () => {
  test.each([
    [{}, 'send'],
    [{ 'if-none-match': etag }, 'not modified'],
    [{ 'if-none-match': `W/${etag}` }, 'not modified'],
    [{ 'if-none-match': `"x", ${etag}` }, 'not modified'],
    [{ 'if-none-match': '*' }, 'not modified'],
    [{ 'if-none-match': '"abc", "def"' }, 'send'],
    [{ 'if-none-match': 'abc' }, 'send'],
    [{ 'if-modified-since': then }, 'not modified'],
    [{ 'if-modified-since': after }, 'not modified'],
    [{ 'if-modified-since': before }, 'send'],
    [{ 'if-modified-since': 'Sunday, 06-Nov-94 08:49:37 GMT' }, 'not modified'],
    [{ 'if-modified-since': 'Sun Nov  6 08:49:37 1994' }, 'not modified'],
    [{ 'if-modified-since': 'Sun Nov  6 08:49:36 1994' }, 'send'],
    [{ 'if-modified-since': 'tomorrow' }, 'send'],
    [{ 'if-modified-since': '2030' }, 'send'],
    [{ 'if-match': etag }, 'send'],
    [{ 'if-match': `"x",${etag}` }, 'send'],
    [{ 'if-match': '*' }, 'send'],
    [{ 'if-match': `W/${etag}` }, 'failed'],
    [{ 'if-match': '"x"' }, 'failed'],
    [{ 'if-unmodified-since': then }, 'send'],
    [{ 'if-unmodified-since': before }, 'failed'],
    [{ 'if-unmodified-since': 'never' }, 'send'],
  ])('%j: %s', (headers, verdict) => {
    expect(evaluatePreconditions(headers, copy)).toBe(verdict)
  })

  test.each([
    // A tag takes precedence over the date of its kind, and If-Match over If-None-Match.
    [{ 'if-none-match': '"x"', 'if-modified-since': after }, 'send'],
    [{ 'if-match': etag, 'if-unmodified-since': before }, 'send'],
    [{ 'if-match': '"x"', 'if-none-match': etag }, 'failed'],
    [{ 'if-unmodified-since': before, 'if-none-match': etag }, 'failed'],
    [{ 'if-match': etag, 'if-none-match': etag }, 'not modified'],
  ])('%j together: %s', (headers, verdict) => {
    expect(evaluatePreconditions(headers, copy)).toBe(verdict)
  })
})

test.each([
  [{}, true],
  [{ 'if-range': etag }, true],
  [{ 'if-range': '"old"' }, false],
  [{ 'if-range': `W/${etag}` }, false],
  [{ 'if-range': `"old", ${etag}` }, false],
  [{ 'if-range': then }, true],
  [{ 'if-range': before }, false],
  [{ 'if-range': after }, false],
  [{ 'if-range': 'nonsense' }, false],
  [{ 'if-range': '*' }, false],
])('a range under %j counts: %s', (headers, counts) => {
  expect(ifRangeMatches(headers, copy)).toBe(counts)
})
