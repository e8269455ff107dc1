import { element } from '../xml.js'
import type { Claim } from './claim.js'
import { accessDenied, OssRefusal } from './refusal.js'
import type { SignedRequest } from './signed-request.js'

const window = 15 * 60 * 1000

const skewed = (requested: Date, now: Date): OssRefusal =>
  new OssRefusal(
    403,
    'RequestTimeTooSkewed',
    'The difference between the request time and the current time is too large.',
    '0002-00000504',
    [
      element('MaxAllowedSkewMilliseconds', window),
      element('RequestTime', requested.toISOString()),
      element('ServerTime', now.toISOString()),
    ],
  )

const badDate = (): OssRefusal => accessDenied('OSS authentication requires a valid Date.')

const requestHasExpired = (): OssRefusal => accessDenied('Request has expired.', '0002-00000069')

const httpDate = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

const compactDate = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/

const checked = (text: string, pattern: RegExp, iso: string): Date => {
  const date = new Date(iso)
  if (!pattern.test(text) || Number.isNaN(date.getTime())) throw badDate()
  return date
}

const readHttpDate = (text: string): Date => checked(text, httpDate, text)

const readCompactDate = (text: string): Date =>
  checked(text, compactDate, text.replace(compactDate, '$1-$2-$3T$4:$5:$6Z'))

const mustBeNear = (date: Date, now: Date): void => {
  if (Math.abs(date.getTime() - now.getTime()) > window) throw skewed(date, now)
}

/** Checks that the request is of now, and gives back the date text that its signature covers. */
export const freshDate = ({ headers }: SignedRequest, claim: Claim, now: Date): string => {
  switch (claim.scheme) {
    case 'v1-header': {
      const { date = '', 'x-oss-date': text = date } = headers
      mustBeNear(readHttpDate(text), now)
      return text
    }
    case 'v4-header': {
      // A plain `Date` may be there too, but version 4 does not sign it.
      const { 'x-oss-date': text = '' } = headers
      mustBeNear(readCompactDate(text), now)
      return text
    }
    case 'v1-url':
      if (Number(claim.expires) * 1000 < now.getTime()) throw requestHasExpired()
      return claim.expires
    case 'v4-url': {
      const signed = readCompactDate(claim.timestamp)
      if (signed.getTime() - now.getTime() > window) throw skewed(signed, now)
      if (signed.getTime() + Number(claim.expires) * 1000 < now.getTime()) throw requestHasExpired()
      return claim.timestamp
    }
  }
}
