import { type GraphQLResolveInfo, Kind, type SelectionNode, type SelectionSetNode } from 'graphql'

type Fragments = GraphQLResolveInfo['fragments']

/** A name of a type, with the quotes, colon and comma around it and its key. */
const BYTES_OF_A_TYPENAME = 30
const known = new WeakMap<SelectionSetNode, number>()

/** How many bytes the __typename fields of a selection add to one object of the answer; measured once for each selection. */
export function typenameBytes(set: SelectionSetNode, fragments: Fragments): number {
  const bytes = known.get(set) ?? sum(set, fragments)
  known.set(set, bytes)
  return bytes
}

const sum = ({ selections }: SelectionSetNode, fragments: Fragments) =>
  selections.reduce((bytes, selection) => bytes + bytesOf(selection, fragments), 0)

function bytesOf(selection: SelectionNode, fragments: Fragments): number {
  if (selection.kind === Kind.FIELD) {
    const { name, alias } = selection
    return name.value === '__typename' ? BYTES_OF_A_TYPENAME + (alias ?? name).value.length : 0
  }
  const isSpread = selection.kind === Kind.FRAGMENT_SPREAD
  const set = isSpread ? fragments[selection.name.value]?.selectionSet : selection.selectionSet
  return set ? typenameBytes(set, fragments) : 0
}
