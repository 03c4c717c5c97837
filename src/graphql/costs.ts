/** The largest page that a list field gives. */
export const maxPageSize = 100

/** The page that a list field gives where neither `first` nor `last` is present. */
export const defaultPageSize = 20

/**
 * What a list costs whose maximum nobody has declared: so much that a guard and every client notice. Each list field
 * declares its own with `listCost` or `pageCost`.
 */
export const UNDECLARED_LIST = 1000

/** Cost of a list field: `field` points for itself, and what is selected of an item as often as it can have items. */
export const listCost = (maxItems: number, field = 1) => ({ field, multiplier: maxItems })

type PageArgs = { first?: number | null | undefined; last?: number | null | undefined }

/** Cost of a page: that of a list of as many items as the arguments ask for, or else of `defaultSize` items. */
export const pageCost = ({ first, last }: PageArgs, defaultSize = defaultPageSize, field = 1) =>
  listCost(Math.min(Math.max(first ?? last ?? defaultSize, 0), maxPageSize), field)
