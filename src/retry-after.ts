interface Headers {
  readonly 'retry-after'?: string | undefined
  readonly date?: string | undefined
}

/**
 * How long an answer asks to wait, in ms: its `Retry-After` is a number of seconds, or a date (RFC 9110, 10.2.3), which
 * is reckoned from the answer's own `Date`, since our clock may be wrong. Undefined where there is none to be read.
 */
export const retryAfter = ({ 'retry-after': value, date }: Headers): number | undefined => {
  if (value === undefined) return undefined
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value) * 1000
  // An HTTP date and nothing else: V8 would read "-5" and "1.5" as dates of its own.
  if (!/^\s*[A-Z][a-z]{2,8}, /.test(value)) return undefined
  const pause = Date.parse(value) - Date.parse(date ?? '')
  return Number.isNaN(pause) ? undefined : Math.max(0, pause)
}
