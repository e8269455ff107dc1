/** Where CDN and DCDN differ: in names. */
export interface Flavour {
  readonly product: 'cdn' | 'dcdn'
  /** Behind the names that the domains get in DNS. */
  readonly cnameSuffix: string
  readonly operations: {
    readonly setCertificate: string
    readonly certificateInfo: string
    readonly userDomains: string
    readonly domainDetail: string
    readonly domainCname: string
    readonly httpsDomains: string
    readonly describeFunctions: string
    readonly setFunctions: string
    /** Of one domain, by their ids. */
    readonly deleteFunction: string
    /** Of many domains, by their names. */
    readonly deleteFunctions: string
  }
}

export const cdnFlavour: Flavour = {
  product: 'cdn',
  cnameSuffix: 'w.kunlunsl.com',
  operations: {
    setCertificate: 'SetCdnDomainSSLCertificate',
    certificateInfo: 'DescribeDomainCertificateInfo',
    userDomains: 'DescribeUserDomains',
    domainDetail: 'DescribeCdnDomainDetail',
    domainCname: 'DescribeDomainCname',
    httpsDomains: 'DescribeCdnHttpsDomainList',
    describeFunctions: 'DescribeCdnDomainConfigs',
    setFunctions: 'BatchSetCdnDomainConfig',
    deleteFunction: 'DeleteSpecificConfig',
    deleteFunctions: 'BatchDeleteCdnDomainConfig',
  },
}

export const dcdnFlavour: Flavour = {
  product: 'dcdn',
  cnameSuffix: 'w.kunlunar.com',
  operations: {
    setCertificate: 'SetDcdnDomainSSLCertificate',
    certificateInfo: 'DescribeDcdnDomainCertificateInfo',
    userDomains: 'DescribeDcdnUserDomains',
    domainDetail: 'DescribeDcdnDomainDetail',
    domainCname: 'DescribeDcdnDomainCname',
    httpsDomains: 'DescribeDcdnHttpsDomainList',
    describeFunctions: 'DescribeDcdnDomainConfigs',
    setFunctions: 'BatchSetDcdnDomainConfigs',
    deleteFunction: 'DeleteDcdnSpecificConfig',
    deleteFunctions: 'BatchDeleteDcdnDomainConfigs',
  },
}
