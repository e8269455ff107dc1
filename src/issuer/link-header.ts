/**
 * The addresses that a `Link` header (RFC 8288) names as alternates of what came with it.
 * @param header all of them, joined by commas as HTTP allows
 * @param base what came with it: relative addresses are meant from there
 */
export const alternatesIn = (header: string | undefined, base: string): string[] =>
  [...(header ?? '').matchAll(link)].flatMap(([, address = '', parameters = '']) => {
    const values = [...parameters.matchAll(parameter)].map(([, name = '', quoted, bare]) => ({
      name: name.toLowerCase(),
      value: quoted ?? bare ?? '',
    }))
    // The first one counts (RFC 8288, 3.3).
    const relation = values.find(({ name }) => name === 'rel')?.value ?? ''
    const relations = relation.toLowerCase().split(/\s+/)
    return relations.includes('alternate') && URL.canParse(address, base) ? [new URL(address, base).href] : []
  })

// Commas and semicolons may stand within the brackets, and within quotes.
const link = /<([^>]*)>((?:\s*;\s*[^\s=;,"]+\s*(?:=\s*(?:"[^"]*"|[^\s;,"]*))?)*)/g
const parameter = /;\s*([^\s=;,"]+)\s*(?:=\s*(?:"([^"]*)"|([^\s;,"]*)))?/g
