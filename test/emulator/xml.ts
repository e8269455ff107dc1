/** An element that is already written out. */
export interface Xml {
  readonly text: string
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/** `undefined` children are left out, so that optional elements need no branches. */
export const element = (name: string, content: string | number | boolean | readonly (Xml | undefined)[]): Xml => ({
  text: `<${name}>${Array.isArray(content) ? content.map((child) => child?.text ?? '').join('') : escaped(String(content))}</${name}>`,
})

export const xmlDocument = (root: Xml): Buffer => Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${root.text}\n`)
