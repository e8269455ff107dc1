import type { Given } from '../pop/parameters.js'
import { PopRefusal } from '../pop/refusal.js'
import type { Domain } from './domain.js'
import type { DomainStore } from './domain-store.js'

export const domainNotFound = (): PopRefusal =>
  new PopRefusal(404, 'InvalidDomain.NotFound', 'The domain provided does not belong to you.')

/** The domain that a call names. `*.example.com` is the name of none. */
export const existingDomain = (store: DomainStore, given: Given): Domain => {
  const domain = store.domain(given['DomainName'] ?? '')
  if (domain === undefined) throw domainNotFound()
  return domain
}

export const domainResource = (given: Given): readonly string[] => [`domain/${given['DomainName']}`]

/** `2018-06-03T22:03:39Z` */
export const isoTime = (date: Date): string => date.toISOString().replace(/\.\d+/, '')
