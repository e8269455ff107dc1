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

/** Whether it takes a change. */
export const checkState = ({ status }: Domain): void => {
  if (status === 'configuring')
    throw new PopRefusal(403, 'ServiceBusy', 'The specified Domain is configuring, please retry later.')
  if (status === 'offline') throw new PopRefusal(400, 'InvalidDomain.Offline', 'The domain name provided is offline.')
  if (status !== 'online' && status !== 'configure_failed')
    throw new PopRefusal(400, 'InvalidDomain.notOnline', 'The domain name provided is not online.')
}

export const domainResource = (given: Given): readonly string[] => [`domain/${given['DomainName']}`]

/** `2018-06-03T22:03:39Z` */
export const isoTime = (date: Date): string => date.toISOString().replace(/\.\d+/, '')
