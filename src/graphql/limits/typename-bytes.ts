import { type GraphQLResolveInfo, Kind, type SelectionNode, type SelectionSetNode } from 'graphql'

type Fragments = GraphQLResolveInfo['fragments']

/** Estimated size of one type name, with the quotes, colon and comma around it and its key. */
const TYPENAME_BYTES = 30
const cache = new WeakMap<SelectionSetNode, number>()

/** Returns how many bytes the __typename fields of a selection add to one object of the response. */
export function typenameBytes(set: SelectionSetNode, fragments: Fragments): number {
  const bytes = cache.get(set) ?? sum(set, fragments)
  cache.set(set, bytes)
  return bytes
}

const sum = ({ selections }: SelectionSetNode, fragments: Fragments) =>
  selections.reduce((bytes, selection) => bytes + bytesOf(selection, fragments), 0)

function bytesOf(selection: SelectionNode, fragments: Fragments): number {
  if (selection.kind === Kind.FIELD) {
    const { name, alias } = selection
    return name.value === '__typename' ? TYPENAME_BYTES + (alias ?? name).value.length : 0
  }
  const isSpread = selection.kind === Kind.FRAGMENT_SPREAD
  const set = isSpread ? fragments[selection.name.value]?.selectionSet : selection.selectionSet
  return set ? typenameBytes(set, fragments) : 0
}
