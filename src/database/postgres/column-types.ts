import {
  DataTypeNode,
  type KyselyPlugin,
  OperationNodeTransformer,
  type RawNode,
  type RootOperationNode,
  sql,
} from 'kysely'

/**
 * Kysely plugin for migrations on PostgreSQL that gives columns the semantics of SQLite: text compares by
 * bytes (COLLATE "C"), whatever the database's locale is, and integers have 64 bits.
 */
export const columnTypes: KyselyPlugin = {
  transformQuery: ({ node }) => transformer.transformNode(node) as RootOperationNode,
  transformResult: async ({ result }) => result,
}

class ColumnTypes extends OperationNodeTransformer {
  override transformColumnDefinition(
    ...[node, queryId]: Parameters<OperationNodeTransformer['transformColumnDefinition']>
  ) {
    const column = super.transformColumnDefinition(node, queryId)
    const { dataType } = column
    const type = DataTypeNode.is(dataType) ? types.get(String(dataType.dataType)) : undefined
    return type ? { ...column, dataType: type } : column
  }
}

const types = new Map<string, RawNode | DataTypeNode>([
  ['text', sql`text collate "C"`.toOperationNode() as RawNode],
  ['integer', DataTypeNode.create('bigint')],
])
const transformer = new ColumnTypes()
