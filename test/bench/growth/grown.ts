import { join } from 'node:path'
import { createWorkspace, type WorkspaceHandle } from '../../support/client.ts'
import { type Server, startServer } from '../../support/servers/fleet.ts'
import { ADMIN_TOKEN } from '../question.ts'
import { newFolder } from '../turns.ts'
import { type Plot, plant } from './planting.ts'

/** Creates workspaces and folders through the API and returns the plots for plant(). */
type Layout<T> = (server: Server) => Promise<{ plots: Plot[]; known: T }>

/** Creates a data directory filled as laid out; disposing removes it. */
export async function grow<T>(layout: Layout<T>) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await newFolder())
  const env = { DATA_DIR: folder.path, ADMIN_TOKEN }
  const { plots, known } = await withServer(env, layout)
  plant(join(folder.path, 'holdall.db'), plots)
  const open = stack.move()
  return { env, known, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

async function withServer<T>(env: { DATA_DIR: string; ADMIN_TOKEN: string }, layout: Layout<T>) {
  await using server = await startServer(env)
  return await layout(server)
}

export async function workspaces({ holdall }: Server, count: number): Promise<WorkspaceHandle[]> {
  const all: WorkspaceHandle[] = []
  for (let n = 0; n < count; n++) all.push(await createWorkspace(holdall, { name: `Lab ${n}` }))
  return all
}
