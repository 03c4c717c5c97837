/** Maximum number of items on one page of a list. */
export const maxPageSize = 100

/** Page size if neither `first` nor `last` is given. */
export const defaultPageSize = 20

/**
 * Cost multiplier of a list that declares no maximum, high enough that a test and every client notice. Each
 * list field declares its own maximum with `listCost` or `pageCost`.
 */
export const UNDECLARED_LIST = 1000

/**
 * Returns the cost of a list field: `field` points, plus the cost of one item for each of `maxItems` items.
 */
export const listCost = (maxItems: number, field = 1) => ({ field, multiplier: maxItems })

type PageArgs = { first?: number | null | undefined; last?: number | null | undefined }

/** Returns the cost of a page: that of a list of `first` or `last` items, or of `defaultSize` items. */
export const pageCost = ({ first, last }: PageArgs, defaultSize = defaultPageSize, field = 1) =>
  listCost(Math.min(Math.max(first ?? last ?? defaultSize, 0), maxPageSize), field)
