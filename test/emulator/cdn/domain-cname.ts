import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { Given } from '../pop/parameters.js'
import { PopRefusal } from '../pop/refusal.js'
import { cnameOf } from './domain-detail.js'
import type { DomainStore } from './domain-store.js'
import { domainNotFound } from './existing-domain.js'
import type { Flavour } from './flavour.js'

const namesOf = (given: Given): readonly string[] => (given['DomainName'] ?? '').split(',')

export const domainCname = (flavour: Flavour, store: DomainStore): PopOperation => ({
  name: flavour.operations.domainCname,
  metadata: metadataOf(flavour.product, flavour.operations.domainCname),
  resources: (given) => namesOf(given).map((name) => `domain/${name}`),
  perform({ given }) {
    const names = namesOf(given)
    if (names.length > 30) throw new PopRefusal(400, 'DomainNameOverLimit', 'The number of domain names exceeds 30.')
    const data = names.map((name) => {
      const domain = store.domain(name)
      if (domain === undefined) throw domainNotFound()
      const { cnameStatus } = domain
      return { Domain: name, Cname: cnameStatus === 0 ? cnameOf(domain, flavour) : '', Status: cnameStatus }
    })
    return { CnameDatas: { Data: data } }
  },
})
