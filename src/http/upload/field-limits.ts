import { isInputObjectType } from 'graphql'
import { checkFields } from '../../graphql/limits/input-limits.ts'
import { schema } from '../../schema.ts'

/** Applies the limits of CreateUploadInput to the fields of a form or header. Throws InvalidInput. */
export const checkUploadFields = (fields: object) => checkAgainst('CreateUploadInput', fields)

/** Applies the limits of RowLink to the row that stores the path of a file. Throws InvalidInput. */
export const checkRowLinkFields = (fields: object) => checkAgainst('RowLink', fields)

function checkAgainst(name: string, fields: object) {
  const type = schema.getType(name)
  if (isInputObjectType(type)) checkFields(fields, type)
}
