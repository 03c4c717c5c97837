import type { WorkspaceRole } from '../../database/tables.ts'
import { InvalidInput, type Issue } from '../../errors/input.ts'
import { describeUnstorable } from '../../names.ts'

const ranks: Record<WorkspaceRole, number> = { VIEWER: 1, EDITOR: 2, OWNER: 3 }

/**
 * Returns whether `role` includes `required`. A null role, which a viewer who is not a member has, includes
 * no role.
 */
export const hasRole = (role: WorkspaceRole | null, required: WorkspaceRole) =>
  role !== null && ranks[role] >= ranks[required]

type QuotaFigures = { quotaBytes: number | null; usedBytes: number; reservedBytes: number }

/** Returns how many bytes are left of the quota, or null without a quota. */
export const remainingBytesOf = ({ quotaBytes, usedBytes, reservedBytes }: QuotaFigures) =>
  quotaBytes === null ? null : Math.max(0, quotaBytes - usedBytes - reservedBytes)

const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

type WorkspaceInput = {
  name?: string | null | undefined
  slug?: string | null | undefined
  description?: string | null | undefined
  trashRetentionDays?: number | null | undefined
}

/** Throws InvalidInput with an issue for each invalid field. */
export function checkWorkspace({ name, slug, description, trashRetentionDays }: WorkspaceInput) {
  const issues: Issue[] = []
  const addIssue = (field: string, message: string) => issues.push({ path: [field], message })
  for (const [field, text] of Object.entries({ name, description })) {
    const unstorable = describeUnstorable(text ?? '')
    if (unstorable) addIssue(field, `text contains ${unstorable}`)
  }
  if (name != null && (name.trim() === '' || name.length > 200)) {
    addIssue('name', '1 to 200 characters')
  }
  if (slug != null && !SLUG.test(slug)) {
    addIssue('slug', '1 to 63 of a-z, 0-9 and "-", with no "-" at the ends')
  }
  if (description != null && description.length > 10_000) {
    addIssue('description', 'at most 10,000 characters')
  }
  if (trashRetentionDays != null && (trashRetentionDays < 0 || trashRetentionDays > 3650)) {
    addIssue('trashRetentionDays', '0 (never purged automatically) to 3650')
  }
  const [first, ...rest] = issues
  if (first) throw new InvalidInput(first, ...rest)
}

/**
 * Derives a slug from a name, such as `plate-scans-2025` from `Plate scans 2025`. Returns '' if no character
 * can be used.
 */
export const slugOf = (name: string) =>
  name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 50)
    .replace(/-+$/, '')
