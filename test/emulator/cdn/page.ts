import type { Given } from '../pop/parameters.js'
import { PopRefusal } from '../pop/refusal.js'

/** One page of a list: `PageNumber` from 1, `PageSize` 20 unless told and 500 at most. */
export const pageOf = <T>(all: readonly T[], given: Given): { page: readonly T[]; number: number; size: number } => {
  const number = Number(given['PageNumber'] ?? 1)
  const size = Number(given['PageSize'] ?? 20)
  if (number < 1 || number > 100_000)
    throw new PopRefusal(400, 'InvalidPageNumber.ValueNotSupported', 'The specified PageNumber is invalid.')
  if (size < 1 || size > 500)
    throw new PopRefusal(400, 'InvalidPageSize.ValueNotSupported', 'The specified PageSize is invalid.')
  return { page: all.slice((number - 1) * size, number * size), number, size }
}
