/** An element of a request body; text between child elements does not count. */
export interface XmlNode {
  readonly name: string
  readonly text: string
  readonly children: readonly XmlNode[]
}

const entities: Readonly<Record<string, string>> = { amp: '&', apos: "'", gt: '>', lt: '<', quot: '"' }

/** Throws on entities that XML does not have by itself. */
const unescapeText = (text: string): string =>
  text.replace(/&([^;]*)(;?)/g, (whole, name: string, end: string) => {
    const code = /^#(?:x([0-9a-f]+)|(\d+))$/i.exec(name)
    const plain = code ? String.fromCodePoint(code[1] ? Number.parseInt(code[1], 16) : Number(code[2])) : entities[name]
    if (plain === undefined || end === '') throw new Error(`not an entity: ${whole}`)
    return plain
  })

const tag = /<(\/?)([A-Za-z_][\w.-]*)(?:\s+[\w:.-]+="[^"<]*")*\s*(\/?)>/y

/**
 * The root of a document, or `undefined` where it is not well-formed. No DTD, no processing instructions, no comments
 * and no CDATA: nobody needs them for this, and a client that sends them is to be noticed.
 */
export const readXml = (document: string): XmlNode | undefined => {
  const text = document.replace(/^\uFEFF?<\?xml\s[^>]*\?>/, '').trim()
  let at = 0

  const readElement = (): XmlNode => {
    tag.lastIndex = at
    const opening = tag.exec(text)
    const [whole = '', closes, name = '', empty] = opening ?? []
    if (opening === null || closes !== '') throw new Error('no element')
    at += whole.length
    const children: XmlNode[] = []
    let content = ''
    if (empty === '/') return { name, text: '', children }
    for (;;) {
      const next = text.indexOf('<', at)
      if (next < 0) throw new Error('not closed')
      content += text.slice(at, next)
      at = next
      if (text.startsWith('</', at)) break
      children.push(readElement())
    }
    tag.lastIndex = at
    const closing = tag.exec(text)
    if (closing?.[1] !== '/' || closing[2] !== name || closing[3] === '/') throw new Error('closed wrongly')
    at += closing[0].length
    return { name, text: unescapeText(content), children }
  }

  try {
    const root = readElement()
    return at === text.length ? root : undefined
  } catch {
    return undefined
  }
}
