import type { CertError } from '../errors.js'
import { OrderBudgetSpent } from './order-budget.js'

/** Of a failed challenge: what another CA may see otherwise, since it looks from somewhere else, or reads other records. */
const seenOtherwise = new Set(['caa', 'connection', 'tls', 'serverInternal', 'rateLimited'])

/** Is it the CA that fails, rather than something of ours that would fail at the next one as well? */
export const mayDoElsewhere = (error: CertError): boolean => {
  const { code, vendor } = error
  if (error instanceof OrderBudgetSpent) return !error.isOurs
  return (
    ['CA_REFUSED', 'CA_UNAVAILABLE', 'TERMS_NOT_AGREED'].includes(code) ||
    (code === 'CHALLENGE_FAILED' && seenOtherwise.has(vendor?.code ?? ''))
  )
}
