/**
 * How long a `Retry-After` header asks to wait, in ms: a number of seconds, or a date (RFC 9110, 10.2.3). Undefined
 * where there is none, or none that can be read.
 * @param now in ms since 1970
 */
export const retryAfter = (value: string | undefined, now: number): number | undefined => {
  if (value === undefined) return undefined
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
