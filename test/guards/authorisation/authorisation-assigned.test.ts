import { type GraphQLInputObjectType, getNamedType, isInputObjectType } from 'graphql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { schema } from '../../../src/schema.ts'
import { expectUnchanged } from '../../support/data/refusals.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { mutations } from './mutation-cases.ts'
import { createTenant, type Place } from './tenant-fixture.ts'

let holdall: TestServer
let own: Place
let theirs: Place
beforeAll(async () => {
  holdall = await startTestServer()
  own = await createTenant(holdall, 'own')
  theirs = await createTenant(holdall, 'theirs')
})
afterAll(() => holdall?.[Symbol.asyncDispose]())

/** Fields that only the server sets. */
const itsOwn = {
  id: 'file_00000000000000000000000000000000',
  createdBy: 'usr_00000000000000000000000000000000',
  updatedBy: 'usr_00000000000000000000000000000000',
  trashedBy: 'usr_00000000000000000000000000000000',
  tokenId: 'tok_00000000000000000000000000000000',
  blobId: 'upl_00000000000000000000000000000000',
  createdAt: '1999-01-01T00:00:00.000Z',
  updatedAt: '1999-01-01T00:00:00.000Z',
  confirmedAt: '1999-01-01T00:00:00.000Z',
  status: 'COMPLETE',
  offset: '4',
  revision: '99',
  usedBytes: '0',
  reservedBytes: '0',
  storedBytes: '0',
  downloadCount: '-5',
  failures: '[]',
  secretHash: 'x',
  fileId: 'file_00000000000000000000000000000000',
  rootId: 'fld_00000000000000000000000000000000',
}

function inputsOf(type: GraphQLInputObjectType, known = new Set<GraphQLInputObjectType>()) {
  if (known.has(type)) return known
  known.add(type)
  for (const field of Object.values(type.getFields())) {
    const named = getNamedType(field.type)
    if (isInputObjectType(named)) inputsOf(named, known)
  }
  return known
}
const mutationFields = Object.values(schema.getMutationType()?.getFields() ?? {})
const inputs = mutationFields.flatMap(({ args }) =>
  args.flatMap(({ type }) => [...inputsOf(getNamedType(type) as GraphQLInputObjectType)]),
)

describe('S33: fields that the server assigns', () => {
  test('occur in no input, except as references to existing objects', () => {
    const declared = [...new Set(inputs)].flatMap((type) =>
      Object.keys(type.getFields())
        .filter((field) => field in itsOwn)
        .map((field) => `${type.name}.${field}`),
    )
    const names = [
      'EntryRef.id',
      'FolderRef.id',
      'LinkRowInput.fileId',
      'RevokeApiTokenInput.tokenId',
    ]
    expect(declared.sort()).toEqual(names)
  })

  test('are rejected by every mutation that gets them, and change nothing', async () => {
    await expectUnchanged(holdall, async () => {
      for (const { name } of mutationFields) {
        const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input!`
        const query = `mutation ($input: ${type}) { answer: ${name}(input: $input) { __typename } }`
        const [input = {}] = mutations[name]?.inputs(own) ?? []
        for (const field of Object.keys(itsOwn).filter((field) => !(field in input))) {
          const more = { ...input, [field]: itsOwn[field as keyof typeof itsOwn] }
          const { data, errors } = await holdall.graphql(query, { input: more })
          expect([name, field, data ?? null]).toEqual([name, field, null])
          expect(errors?.[0]?.message).toContain(field)
        }
      }
    })
  })

  /** An upload whose client declared false values. */
  async function expectDefaults(id: string) {
    const { db } = holdall.app
    const row = await db
      .selectFrom('uploads')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    const owner = (await holdall.ask('{ viewer { user { id } token { id } } }')).viewer
    expect(row).toMatchObject({
      createdBy: owner.user.id,
      tokenId: owner.token.id,
      workspaceId: own.workspaceId,
    })
    expect(row.createdAt).toBeGreaterThan(Date.now() - 60_000)
    return row
  }

  test('are ignored in Upload-Metadata, even the id of an existing file', async () => {
    const { workspaceId, fileId } = own
    const tus = tusOf(holdall)
    const declared = {
      ...itsOwn,
      id: fileId,
      key: fileId,
      size: '1',
      filename: 'posted',
      workspaceId,
    }
    const response = await tus.post({ 'Upload-Length': '4', 'Upload-Metadata': metadata(declared) })
    expect(response.status).toBe(201)
    const row = await expectDefaults(response.headers.get('holdall-upload-id') ?? '')
    const asMade = {
      size: 4,
      offset: 0,
      status: 'CREATED',
      fileId: null,
      sha256: null,
      reservedBytes: 4,
    }
    expect(row).toMatchObject(asMade)
    expect(row.id).not.toContain(fileId.slice(5))
  })

  test('are ignored in the fields of a form', async () => {
    const { workspaceId, fileId } = own
    const file = { name: 'formed', bytes: 'here' }
    const declared = { ...itsOwn, id: fileId, key: fileId, size: '1', workspaceId }
    const { status, body } = await postForm(holdall, { ...declared, file })
    expect([status, body.size]).toEqual([201, 4])
    expect(body.id).not.toBe(fileId)
    const { db } = holdall.app
    const upload = await db
      .selectFrom('uploads')
      .selectAll()
      .where('fileId', '=', body.id)
      .executeTakeFirstOrThrow()
    expect(await expectDefaults(upload.id)).toMatchObject({
      size: 4,
      offset: 4,
      status: 'COMPLETE',
    })
  })

  test('a declared size or hash must match the bytes', async () => {
    const { workspaceId } = own
    const file = { name: 'hashed', bytes: 'here' }
    const { status, body } = await postForm(holdall, { workspaceId, sha256: 'a'.repeat(64), file })
    expect([status, body.code]).toEqual([460, 'CHECKSUM_MISMATCH'])
  })

  test('another tenant’s workspace does not exist, also in metadata, form fields or queries', async () => {
    const { workspaceId } = theirs
    const { token } = await boundTo(own)
    await expectUnchanged(holdall, async () => {
      const declared = metadata({ workspaceId, filename: 'x' })
      const headers = {
        'upload-length': '4',
        'upload-metadata': declared,
        'tus-resumable': '1.0.0',
      }
      const posts = [
        holdall.http('/uploads', { method: 'POST', headers, token }),
        holdall.http(`/uploads?workspaceId=${workspaceId}`, {
          method: 'POST',
          headers: { ...headers, 'upload-metadata': '' },
          token,
        }),
      ]
      for (const post of posts) expect((await post).status).toBe(404)
      const file = { name: 'x', bytes: 'here' }
      expect((await postForm(holdall, { workspaceId, file }, { token })).status).toBe(404)
      const query = `?workspaceId=${workspaceId}`
      expect((await postForm(holdall, { file }, { token, query })).status).toBe(404)
    })
  })

  async function boundTo({ workspaceId }: Place) {
    const query = `mutation ($id: ID!) { createApiToken(input: { name: "x", workspaceId: $id, scopes: [FILES_READ, FILES_WRITE] }) {
      ... on CreateApiTokenPayload { secret } } }`
    const { createApiToken } = await holdall.ask(query, { id: workspaceId })
    return { token: createApiToken.secret as string }
  }
})
