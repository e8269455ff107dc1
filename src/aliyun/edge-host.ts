/** The name that a certificate has to cover: `.example.com`, as CDN spells it, stands for every host one label below. */
export const servedName = (domain: string): string => (domain.startsWith('.') ? `*${domain}` : domain)

/** A host to look at; of a wildcard, one that is certainly not a domain of its own. */
export const hostToLookAt = (domain: string): string => (domain.startsWith('.') ? `acme-oss-check${domain}` : domain)
