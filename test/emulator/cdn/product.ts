import type { CasStore } from '../cas/store.js'
import type { Product } from '../pop/operation.js'
import { certificateInfo } from './certificate-info.js'
import { deleteFunction, deleteFunctions, setFunctions } from './change-functions.js'
import { describeFunctions } from './describe-functions.js'
import { domainCname } from './domain-cname.js'
import { domainDetail } from './domain-detail.js'
import type { DomainStore } from './domain-store.js'
import { cdnFlavour, dcdnFlavour, type Flavour } from './flavour.js'
import { httpsDomains } from './https-domains.js'
import { setCertificate } from './set-certificate.js'
import { userDomains } from './user-domains.js'

const product = (flavour: Flavour, version: string, store: DomainStore, cas: CasStore): Product => ({
  ram: flavour.product,
  host: flavour.product,
  version,
  operations: [
    setCertificate(flavour, store, cas),
    certificateInfo(flavour, store),
    userDomains(flavour, store),
    domainDetail(flavour, store),
    domainCname(flavour, store),
    httpsDomains(flavour, store),
    describeFunctions(flavour, store),
    setFunctions(flavour, store),
    deleteFunction(flavour, store),
    deleteFunctions(flavour, store),
  ],
  callsPerSecond: () => store.callsPerSecond,
})

export const cdnProduct = (store: DomainStore, cas: CasStore): Product => product(cdnFlavour, '2018-05-10', store, cas)

export const dcdnProduct = (store: DomainStore, cas: CasStore): Product =>
  product(dcdnFlavour, '2018-01-15', store, cas)
