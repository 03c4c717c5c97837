import type { TestServer } from '../servers/test-server.ts'

const query = `query ($id: ID!) { workspace(by: { id: $id }) {
  usage { currentBytes olderVersionBytes trashedBytes reservedBytes storedBytes fileCount folderCount }
  entries(first: 100) { nodes { __typename path tags { name }
    ... on File { size sha256 status versions(first: 10) { nodes { number size sha256 } } }
    ... on Folder { totals { bytes fileCount folderCount } } } }
  trash(first: 100) { nodes { __typename name trash { originalPath } ... on Folder { totals { bytes fileCount } } } }
  uploads(first: 100, status: [CREATED, RECEIVING, RECEIVED, PROCESSING]) { nodes { name transport status offset size } }
} }`

/**
 * Everything that a client sees of a workspace, without ids and times, so that equal states compare equal.
 */
export type View = {
  entries: Record<string, unknown>
  trash: unknown[]
  uploads: { name: string; transport: string; status: string; offset: number; size: number }[]
  usage: Record<string, number>
}

export async function viewOf(holdall: TestServer, id: string): Promise<View> {
  const { workspace } = await holdall.ask(query, { id })
  const { entries, trash, uploads, usage } = workspace
  return {
    entries: Object.fromEntries(entries.nodes.map(({ path, ...entry }: any) => [path, entry])),
    trash: trash.nodes,
    // An interrupted confirm leaves this status; the next confirm continues from there.
    uploads: uploads.nodes.map(({ status, ...upload }: any) => ({
      ...upload,
      status: status === 'PROCESSING' ? 'RECEIVED' : status,
    })),
    usage,
  }
}

/** Returns a view without the stored bytes: unreferenced bytes are swept later. */
export const withoutStoredBytes = ({ usage: { storedBytes: _, ...usage }, ...view }: View) => ({
  ...view,
  usage,
})

/**
 * Returns a view without the uploads that reserve space for an interrupted import; they remain until they are
 * cancelled or expire.
 */
export function withoutReservations(view: View): View {
  const uploads = view.uploads.filter(({ transport }) => transport !== 'FORM')
  if (uploads.length === view.uploads.length) return view
  const reservedBytes = uploads.reduce((sum, { size }) => sum + size, 0)
  return { ...view, uploads, usage: { ...view.usage, reservedBytes } }
}
