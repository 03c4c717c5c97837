import {
  GraphQLOneOfDirective,
  lexicographicSortSchema,
  printDirective,
  printSchema,
} from 'graphql'
import { builder } from './graphql/builder.ts'
import './graphql/scalars.ts'
import './graphql/errors.ts'
import './graphql/nodes.ts'
import './graphql/pages.ts'
import './graphql/server-info.ts'
import { withFieldPolicies } from './graphql/field-policy.ts'

// Dependency order: a domain may import only domains above it.
import './domains/accounts/graphql.ts'
import './domains/workspaces/graphql.ts'
import './domains/activity/graphql.ts'
import './domains/server-activity/graphql.ts'
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

export const schema = withFieldPolicies(builder.toSchema())

/** The schema as text. It defines @oneOf, which parsers without that directive built in require. */
export const printedSchema = `${printDirective(GraphQLOneOfDirective)}

${printSchema(lexicographicSortSchema(schema))}
`
