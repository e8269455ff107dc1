/**
 * The addresses that a `Link` header (RFC 8288) names as alternates of what came with it.
 * @param header all of them, joined by commas as HTTP allows
 * @param base what came with it: relative addresses are meant from there
 */
export const alternatesIn = (header: string | undefined, base: string): string[] =>
  [...(header ?? '').matchAll(link)].flatMap(([, address = '', parameters = '']) => {
    const [, quoted, bare] = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i.exec(parameters) ?? []
    const relations = (quoted ?? bare ?? '').toLowerCase().split(/\s+/)
    return relations.includes('alternate') && URL.canParse(address, base) ? [new URL(address, base).href] : []
  })

// Commas and semicolons may stand within the brackets, and within quotes.
const link = /<([^>]*)>((?:\s*;\s*[^\s=;,"]+\s*(?:=\s*(?:"[^"]*"|[^\s;,"]*))?)*)/g
