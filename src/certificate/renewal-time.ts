const hour = 60 * 60 * 1000
const day = 24 * hour

/** How long before its end a certificate is renewed, as a part of that time: so much earlier at most. */
const widest = 1 / 12

export interface Lifetime {
  readonly notBefore: Date
  readonly notAfter: Date
}

/**
 * When a certificate is to be renewed by our own rule: after two thirds of its lifetime, but no earlier than 30 days
 * before its end; after half of it where that is less than ten days. A little earlier for each certificate on its own
 * account, so that a fleet that was issued in one night is not renewed in one.
 * @param spread from 0 to 1, always the same for one certificate
 */
export const ownRenewalTime = ({ notBefore, notAfter }: Lifetime, spread: number): Date => {
  const lifetime = notAfter.getTime() - notBefore.getTime()
  const left = lifetime < 10 * day ? lifetime / 2 : Math.min(lifetime / 3, 30 * day)
  return new Date(notAfter.getTime() - left * (1 + spread * widest))
}

/**
 * The same with what the CA suggests (RFC 9773), which may be sooner and is never later.
 * @param suggested a moment drawn in the window that the CA gave
 */
export const renewalTime = (lifetime: Lifetime, spread: number, suggested: Date | undefined): Date => {
  const own = ownRenewalTime(lifetime, spread)
  return suggested !== undefined && suggested < own ? suggested : own
}

/** @param sha256 the leaf's fingerprint, hexadecimal */
export const spreadOf = (sha256: string): number => Number.parseInt(sha256.slice(0, 8), 16) / 2 ** 32

export interface Window {
  readonly start: Date
  readonly end: Date
}

/** A moment in the window in which the CA would like to see the renewal. @param chance from 0 to 1 */
export const momentIn = ({ start, end }: Window, chance: number): Date =>
  new Date(start.getTime() + chance * (end.getTime() - start.getTime()))

const leastPause = 60_000
const mostPause = day
const usualPause = 6 * hour

/**
 * When the CA is asked again what it suggests.
 * @param retryAfter what it said, in ms; kept between a minute and a day (RFC 9773, 4.3.2)
 */
export const nextLook = (now: Date, retryAfter: number | undefined): Date =>
  new Date(now.getTime() + Math.min(Math.max(retryAfter ?? usualPause, leastPause), mostPause))
