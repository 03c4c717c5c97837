import { lexicographicSortSchema, printSchema } from 'graphql'
import { builder } from './graphql/builder.ts'
import './graphql/scalars.ts'
import './graphql/problems.ts'
import './graphql/nodes.ts'
import './graphql/pages.ts'
import './graphql/server-info.ts'
import { withSights } from './graphql/sights.ts'

// Eldest first: a domain may import those above it and never those below it.
import './domains/accounts/graphql.ts'
import './domains/workspaces/graphql.ts'
import './domains/activity/graphql.ts'
import './domains/members/graphql.ts'
import './domains/tokens/graphql.ts'
import './domains/tags/graphql.ts'
import './domains/entries/graphql.ts'
import './domains/folders/graphql.ts'
import './domains/files/graphql.ts'
import './domains/tables/graphql.ts'
import './domains/uploads/graphql.ts'
import './domains/trash/graphql.ts'
import './domains/search/graphql.ts'
import './domains/sharing/graphql.ts'
import './domains/archives/graphql.ts'
import './domains/changes/graphql.ts'

export const schema = withSights(builder.toSchema())
export const printedSchema = `${printSchema(lexicographicSortSchema(schema))}\n`
