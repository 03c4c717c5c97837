import { validateHeaderValue } from 'node:http'
import { parse } from 'content-disposition'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { contentDisposition, contentHeaders } from '../../../src/http/download/content-headers.ts'

const shown = (mediaType: string, name = 'x') => contentHeaders({ name, mediaType }, 'inline')

describe('S5: content that may be shown inline', () => {
  test.each([
    'image/png',
    'image/jpeg',
    'image/avif',
    'video/mp4',
    'audio/mpeg',
    'audio/wav',
    'application/pdf',
    'IMAGE/PNG; a=b',
  ])('%s, on request and in a sandbox', (type) => {
    expect(shown(type)['Content-Disposition']).toBe('inline; filename=x')
    expect(shown(type)['Content-Security-Policy']).toMatch(/^sandbox; default-src 'none'/)
    expect(
      contentHeaders({ name: 'x', mediaType: type }, 'attachment')['Content-Disposition'],
    ).toBe('attachment; filename=x')
  })

  test.each([
    'text/html',
    'TEXT/HTML; charset=utf-8',
    'application/xhtml+xml',
    'image/svg+xml',
    'text/xml',
    'application/xml',
    'application/xslt+xml',
    'text/javascript',
    'application/javascript',
    'application/x-shockwave-flash',
    'text/css',
    'message/rfc822',
    'multipart/x-mixed-replace',
    'application/octet-stream',
    'text/plain2',
    '',
  ])('%s is an attachment even so, in a sandbox without anything', (type) => {
    expect(shown(type)['Content-Disposition']).toBe('attachment; filename=x')
    expect(shown(type)['Content-Security-Policy']).toBe("sandbox; default-src 'none'")
    expect(shown(type)['X-Content-Type-Options']).toBe('nosniff')
  })
})

describe('S5, S6: the served content type', () => {
  test.each([
    ['image/png', 'image/png'],
    ['Text/CSV; charset=latin1', 'text/csv'],
    ['text/plain', 'text/plain; charset=utf-8'],
    ['text/javascript', 'text/plain; charset=utf-8'],
    ['application/x-javascript', 'text/plain; charset=utf-8'],
    ['text/x-python', 'text/plain; charset=utf-8'],
    ['application/x-sh', 'text/plain; charset=utf-8'],
    ['application/x-ipynb+json', 'text/plain; charset=utf-8'],
    ['text/typescript', 'text/plain; charset=utf-8'],
    ['text/x-r-markdown', 'text/plain; charset=utf-8'],
    ['image/x-r', 'image/x-r'],
    ['audio/ogg; codecs=opus', 'audio/ogg'],
    [
      'application/vnd.ms-excel.sheet.macroEnabled.12',
      'application/vnd.ms-excel.sheet.macroenabled.12',
    ],
    ['nonsense', 'application/octet-stream'],
    ['a/b\r\nSet-Cookie: x', 'application/octet-stream'],
  ])('%j becomes %s', (mediaType, served) => {
    expect(shown(mediaType)['Content-Type']).toBe(served)
  })
})

describe('S7: Content-Disposition', () => {
  test.each([
    ['report.pdf', 'attachment; filename=report.pdf'],
    ['my report.pdf', 'attachment; filename="my report.pdf"'],
    ['a"b.txt', `attachment; filename=a_b.txt; filename*=UTF-8''a%22b.txt`],
    ['a\\b.txt', `attachment; filename=a_b.txt; filename*=UTF-8''a%5Cb.txt`],
    ['100%41.txt', `attachment; filename=100_41.txt; filename*=UTF-8''100%2541.txt`],
    ['Résumé.pdf', `attachment; filename=Resume.pdf; filename*=UTF-8''R%C3%A9sum%C3%A9.pdf`],
    ['€ rates', `attachment; filename="_ rates"; filename*=UTF-8''%E2%82%AC%20rates`],
    ["it's (1)*.txt", 'attachment; filename="it\'s (1)*.txt"'],
    ['🧬.fa', `attachment; filename=_.fa; filename*=UTF-8''%F0%9F%A7%AC.fa`],
    [
      'a"\r\nSet-Cookie: x',
      `attachment; filename="a___Set-Cookie: x"; filename*=UTF-8''a%22__Set-Cookie%3A%20x`,
    ],
    ['../../etc/passwd', 'attachment; filename=.._.._etc_passwd'],
  ])('of %j', (name, header) => {
    expect(contentDisposition(name, 'attachment')).toBe(header)
  })

  test('encodes any name as one line of ASCII that decodes to the name without controls, slashes and lone surrogates', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (name) => {
        const header = contentDisposition(name, 'attachment')
        expect(header).toMatch(/^[\x20-\x7e]+$/)
        validateHeaderValue('Content-Disposition', header)
        expect(parse(header).parameters.filename).toBe(
          name.toWellFormed().replace(/[\p{Cc}/]/gu, '_'),
        )
      }),
    )
  })

  test('accepts a lone surrogate', () => {
    expect(parse(contentDisposition('a\ud800b', 'inline')).parameters.filename).toBe('a\ufffdb')
  })
})
