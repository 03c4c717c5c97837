import { isInputObjectType } from 'graphql'
import { checkFields } from '../../graphql/input-limits.ts'
import { schema } from '../../schema.ts'

/** Refuses what a form or a header says of an upload where the same field of the API would be refused unread. */
export const checkUploadFields = (said: object) => checkAs('CreateUploadInput', said)

/** The same for the row that is to hold a file's path. */
export const checkRowLinkFields = (said: object) => checkAs('RowLink', said)

function checkAs(name: string, said: object) {
  const type = schema.getType(name)
  if (isInputObjectType(type)) checkFields(said, type)
}
