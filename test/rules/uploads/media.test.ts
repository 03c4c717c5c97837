import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { detectMediaType, driveFolder, kindOf } from '../../../src/domains/files/media.ts'

const text = Buffer.from('x,y\n1,2\n')
const hex = (digits: string) => Buffer.from(digits.replaceAll(' ', ''), 'hex')
const latin = (characters: string) => Buffer.from(characters, 'latin1')
const office = 'application/vnd.openxmlformats-officedocument'

/** The first bytes of real files. */
const magic = {
  png: hex(
    '89504e470d0a1a0a 0000000d49484452 00000001000000010806 0000001f15c489 0000000049454e44ae426082',
  ),
  jpg: hex('ffd8ffe000104a46494600010100000100010000ffd9'),
  gif: latin('GIF89a\x01\x00\x01\x00\x80'),
  bmp: hex('424d46000000000000003600000028000000'),
  tif: hex('49492a0008000000000000000000000000000000'),
  pdf: latin('%PDF-1.7\n'),
  zip: hex('504b0304 14000000 0000 0000 0000 00000000 00000000 00000000 0500 0000 612e747874'),
  '7z': hex('377abcaf271c0004'),
  gz: gzipSync('x'),
  cfb: hex('d0cf11e0a1b11ae1 00000000000000000000000000000000'),
  mp3: hex('fffb9064 00000000000000000000000000000000'),
  wav: latin('RIFF\x24\x00\x00\x00WAVEfmt '),
  avi: latin('RIFF\x24\x00\x00\x00AVI LIST'),
  mp4: latin('\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2'),
  mov: latin('\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  '),
  xml: latin('<?xml version="1.0"?><a/>'),
  sav: latin('$FL2@(#) SPSS DATA FILE'),
  czi: latin('ZISRAWFILE\x00\x00\x00\x00\x00\x00'),
  nd2: hex('dacebe0a00000000'),
  rdata: gzipSync('RDX3\nX\n'),
  exe: hex('4d5a90000300000004000000ffff0000'),
}

test.each([
  // C57, C58: tables and statistics
  ['xlsx', magic.zip, `${office}.spreadsheetml.sheet`, 'SPREADSHEET'],
  ['xls', magic.cfb, 'application/vnd.ms-excel', 'SPREADSHEET'],
  ['csv', text, 'text/csv', 'SPREADSHEET'],
  ['tsv', text, 'text/tab-separated-values', 'SPREADSHEET'],
  ['rds', gzipSync('X\n'), 'application/x-rds', 'DATA'],
  ['rdata', magic.rdata, 'application/x-rdata', 'DATA'],
  ['sav', magic.sav, 'application/x-spss-sav', 'DATA'],
  ['dta', latin('<stata_dta><header>'), 'application/x-stata-dta', 'DATA'],
  // C59: plain text
  ['txt', text, 'text/plain', 'DOCUMENT'],
  ['log', text, 'text/plain', 'DOCUMENT'],
  ['json', text, 'application/json', 'DATA'],
  ['xml', magic.xml, 'application/xml', 'DATA'],
  // C60, C61: images
  ['jpg', magic.jpg, 'image/jpeg', 'IMAGE'],
  ['jpeg', magic.jpg, 'image/jpeg', 'IMAGE'],
  ['png', magic.png, 'image/png', 'IMAGE'],
  ['gif', magic.gif, 'image/gif', 'IMAGE'],
  ['bmp', magic.bmp, 'image/bmp', 'IMAGE'],
  ['tif', magic.tif, 'image/tiff', 'IMAGE'],
  ['tiff', magic.tif, 'image/tiff', 'IMAGE'],
  ['czi', magic.czi, 'image/x-czi', 'IMAGE'],
  ['nd2', magic.nd2, 'image/x-nd2', 'IMAGE'],
  ['lsm', magic.tif, 'image/x-lsm', 'IMAGE'],
  // C62: documents
  ['pdf', magic.pdf, 'application/pdf', 'DOCUMENT'],
  ['docx', magic.zip, `${office}.wordprocessingml.document`, 'DOCUMENT'],
  ['doc', magic.cfb, 'application/msword', 'DOCUMENT'],
  ['pptx', magic.zip, `${office}.presentationml.presentation`, 'DOCUMENT'],
  ['ppt', magic.cfb, 'application/vnd.ms-powerpoint', 'DOCUMENT'],
  // C63: code
  ['py', text, 'text/x-python', 'CODE'],
  ['ipynb', Buffer.from('{"cells":[]}'), 'application/x-ipynb+json', 'CODE'],
  ['r', text, 'text/x-r', 'CODE'],
  ['rmd', text, 'text/x-r-markdown', 'CODE'],
  ['sh', latin('#!/bin/sh\n'), 'application/x-sh', 'CODE'],
  ['bash', latin('#!/bin/bash\n'), 'application/x-sh', 'CODE'],
  // C64: films and sounds
  ['mp4', magic.mp4, 'video/mp4', 'VIDEO'],
  ['avi', magic.avi, 'video/vnd.avi', 'VIDEO'],
  ['mov', magic.mov, 'video/quicktime', 'VIDEO'],
  ['mp3', magic.mp3, 'audio/mpeg', 'AUDIO'],
  ['wav', magic.wav, 'audio/wav', 'AUDIO'],
  // C65: archives
  ['zip', magic.zip, 'application/zip', 'ARCHIVE'],
  ['tar.gz', magic.gz, 'application/gzip', 'ARCHIVE'],
  ['tgz', magic.gz, 'application/gzip', 'ARCHIVE'],
  ['7z', magic['7z'], 'application/x-7z-compressed', 'ARCHIVE'],
])('.%s', async (extension, head, mediaType, mediaKind) => {
  const expected = { mediaType, mediaKind }
  expect(await detectMediaType(head, `data.${extension}`)).toEqual(expected)
  expect(await detectMediaType(head, `DATA.${extension.toUpperCase()}`)).toEqual(expected)
  // Without a signature in the bytes the name determines the type.
  expect(await detectMediaType(Buffer.from('?'), `data.${extension}`)).toEqual(expected)
  expect(kindOf(mediaType)).toBe(mediaKind)
})

describe('S6: the bytes take precedence over the name', () => {
  test.each([
    ['a picture', magic.png, 'image/png', 'IMAGE'],
    ['a PDF', magic.pdf, 'application/pdf', 'DOCUMENT'],
    ['a film', magic.mp4, 'video/mp4', 'VIDEO'],
    ['a program', magic.exe, 'application/x-msdownload', 'OTHER'],
    ['an archive', magic['7z'], 'application/x-7z-compressed', 'ARCHIVE'],
  ])('%s is one under any name', async (_, head, mediaType, mediaKind) => {
    for (const name of ['a.txt', 'a.jpg', 'a.docx', 'a', 'a.tar.gz', 'a.lsm']) {
      expect(await detectMediaType(head, name)).toEqual({ mediaType, mediaKind })
    }
  })

  test.each([
    ['photo.png', magic.zip, 'application/zip'],
    ['paper.pdf', magic.zip, 'application/zip'],
    ['song.mp3', magic.gz, 'application/gzip'],
    ['photo.jpg', magic.xml, 'application/xml'],
    ['photo.gif', magic.cfb, 'application/x-cfb'],
  ])('%s is not believed about a container that cannot hold it', async (name, head, mediaType) => {
    expect((await detectMediaType(head, name)).mediaType).toBe(mediaType)
  })

  test.each([
    ['book.epub', magic.zip, 'application/epub+zip', 'DOCUMENT'],
    ['table.ods', magic.zip, 'application/vnd.oasis.opendocument.spreadsheet', 'SPREADSHEET'],
    ['locked.docx', magic.cfb, `${office}.wordprocessingml.document`, 'DOCUMENT'],
    ['drawing.svg', magic.xml, 'image/svg+xml', 'IMAGE'],
    ['page.xhtml', magic.xml, 'application/xhtml+xml', 'DATA'],
    ['table.csv.gz', magic.gz, 'application/gzip', 'ARCHIVE'],
  ])('%s is believed about one that can', async (name, head, mediaType, mediaKind) => {
    expect(await detectMediaType(head, name)).toEqual({ mediaType, mediaKind })
  })
})

describe('without a signature or a known name', () => {
  test.each([
    'README',
    'data.',
    'x.unheardof',
    '.csv',
    'a.constructor',
    'a.__proto__',
    'a.toString',
  ])('text in %s is text', async (name) => {
    const media = await detectMediaType(Buffer.from('Grüße aus dem Labor'), name)
    expect(media).toEqual({ mediaType: 'text/plain', mediaKind: 'DOCUMENT' })
  })

  test('detects text whose first bytes end inside a character', async () => {
    const cut = Buffer.from('Grüße').subarray(0, 3)
    expect((await detectMediaType(cut, 'README')).mediaType).toBe('text/plain')
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['NUL', latin('a\0b')],
    ['what is no UTF-8', hex('41ff42fe')],
  ])('%s is bytes', async (_, head) => {
    const media = await detectMediaType(head, 'blob')
    expect(media).toEqual({ mediaType: 'application/octet-stream', mediaKind: 'OTHER' })
  })
})

test('returns a type for any bytes and name', async () => {
  const start = fc.constantFrom(Buffer.alloc(0), ...Object.values(magic))
  const head = fc
    .tuple(start, fc.nat(40), fc.uint8Array({ maxLength: 200 }))
    .map(([start, length, rest]) => Buffer.concat([start.subarray(0, length), rest]))
  const extension = fc.constantFrom('', '.zip', '.docx', '.svg', '.mp4', '.constructor', '.ü')
  await fc.assert(
    fc.asyncProperty(head, extension, async (head, extension) => {
      const { mediaType, mediaKind } = await detectMediaType(head, `a${extension}`)
      expect(mediaType).toMatch(/^[\w.+-]+\/[\w.+-]+$/)
      expect(kindOf(mediaType)).toBe(mediaKind)
    }),
    { numRuns: 300 },
  )
})

test.each([
  [
    'image',
    ['a.jpg', 'a.png', 'a.jpeg', 'A.JPG', 'scan.PnG', 'a.tar.png', 'a b.exe.jpeg', '..png'],
  ],
  ['audio', ['a.mp3', 'a.wav', 'A.WAV']],
  ['video', ['a.mp4', 'a.wmv', 'a.avi', 'A.Avi']],
  [
    'others',
    ['a.csv', 'x.jpg.exe', 'a.tar.gz', 'README', 'a.jpg.', 'jpg', '.jpg', 'a.gif', 'a.png '],
  ],
  ['others', ['a.constructor', 'a.__proto__', 'a.toString', '']],
])('drive/%s', (folder, names) => {
  for (const name of names) expect([name, driveFolder(name)]).toEqual([name, `drive/${folder}`])
})
