import {
  DataTypeNode,
  type KyselyPlugin,
  OperationNodeTransformer,
  type RawNode,
  type RootOperationNode,
  sql,
} from 'kysely'

/**
 * For migrations on PostgreSQL: every text column compares by its bytes (COLLATE "C"), whatever the database's own language is,
 * so that pages, prefixes and names mean the same as in SQLite.
 */
export const textAsBytes: KyselyPlugin = {
  transformQuery: ({ node }) => transformer.transformNode(node) as RootOperationNode,
  transformResult: async ({ result }) => result,
}

class TextAsBytes extends OperationNodeTransformer {
  override transformColumnDefinition(
    ...[node, queryId]: Parameters<OperationNodeTransformer['transformColumnDefinition']>
  ) {
    const column = super.transformColumnDefinition(node, queryId)
    const isText = DataTypeNode.is(column.dataType) && column.dataType.dataType === 'text'
    return isText ? { ...column, dataType: bytewise } : column
  }
}

const bytewise = sql`text collate "C"`.toOperationNode() as RawNode
const transformer = new TextAsBytes()
