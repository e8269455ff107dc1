import { CertError } from '../errors.js'
import { retryAfter } from '../retry-after.js'
import type { CaExchange } from './ca-exchange.js'
import { parseJson } from './problem.js'

/** When a CA would like a certificate to be renewed (RFC 9773, 4.2). */
export interface RenewalInfo {
  /** The window in which to renew; it may lie in the past, and then it is high time. */
  readonly start: Date
  readonly end: Date
  /** A page for people on why it is this window. */
  readonly explanation: string | undefined
  /** When the CA wants to be asked again, in ms from now. */
  readonly retryAfter: number | undefined
}

/**
 * Needs neither an account nor a signature. Asked once and not again: it is advice, and a renewal does not hang on it.
 * @param certId as `renewalId` gives it
 * @throws CertError CA_REFUSED, CA_UNAVAILABLE (passing), INTERRUPTED
 */
export const askRenewalInfo = async (exchange: CaExchange, certId: string): Promise<RenewalInfo> => {
  const phrase = 'asking when to renew'
  const { renewalInfo } = await exchange.directory()
  if (renewalInfo === undefined) {
    throw new CertError('CA_REFUSED', `${phrase}: the CA does not say (its directory names no renewalInfo)`, {
      hint: 'nothing needs to be done: certificates are renewed by the time they have left',
    })
  }
  const answer = await exchange.doing(phrase, () => exchange.get(`${renewalInfo.replace(/\/$/, '')}/${certId}`))
  const { suggestedWindow, explanationURL } = asObject(parseJson(answer.body))
  const { start, end } = asObject(suggestedWindow)
  const window = { start: readDate(start), end: readDate(end) }
  if (window.start === undefined || window.end === undefined)
    throw exchange.nonsense(phrase, 'no window with two dates')
  if (window.end <= window.start) throw exchange.nonsense(phrase, 'a window that ends before it begins')
  return {
    start: window.start,
    end: window.end,
    explanation: isWebPage(explanationURL) ? explanationURL : undefined,
    retryAfter: retryAfter(answer.headers),
  }
}

const asObject = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

/** RFC 3339 and nothing else: V8 reads dates out of a good deal more. */
const readDate = (value: unknown): Date | undefined => {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i.test(value))
    return undefined
  const date = new Date(value)
  return Number.isNaN(date.getTime()) ? undefined : date
}

const isWebPage = (value: unknown): value is string =>
  typeof value === 'string' && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)
