// The text format of Prometheus, read by a parser that forgives nothing: what promtool would say of it.
// https://prometheus.io/docs/instrumenting/exposition_formats/

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const metric = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const label = '[a-zA-Z_][a-zA-Z0-9_]*'
const value = String.raw`"((?:[^"\\\n]|\\["\\n])*)"`
const sampleLine = new RegExp(`^(${metric})(?:\\{(${label}=${value}(?:,${label}=${value})*)\\})? (-?\\d+(?:\\.\\d+)?)$`)

/** By the metric's name. @throws Error of the line that Prometheus would refuse, or promtool complain about */
export const readExposition = (text: string): ReadonlyMap<string, readonly Sample[]> => {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const found = new Map<string, Sample[]>()
  const seen = new Set<string>()
  let helped: string | undefined
  let typed: string | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    const [, about, of = '', rest = ''] = /^# (HELP|TYPE) (\S+) (\S.*)$/.exec(line) ?? []
    if (about === 'HELP') {
      if (found.has(of)) throw new Error(`twice: ${of}`)
      if (!/\.$/.test(rest) || /\\(?![\\n])/.test(rest)) throw new Error(`no help: ${line}`)
      ;[helped, typed] = [of, undefined]
      found.set(of, [])
      continue
    }
    if (about === 'TYPE') {
      if (helped !== of || typed !== undefined || rest !== 'gauge') throw new Error(`a type out of place: ${line}`)
      typed = of
      continue
    }
    const [, name, labels = '', ...values] = sampleLine.exec(line) ?? []
    const number = values.at(-1)
    if (name === undefined || number === undefined) throw new Error(`not understood: ${line}`)
    if (name !== typed) throw new Error(`a sample of another metric: ${line}`)
    const pairs = [...labels.matchAll(new RegExp(`(${label})=${value}(?:,|$)`, 'g'))]
    const read = pairs.map(([, key = '', raw = '']) => [
      key,
      raw.replace(/\\(.)/g, (_, one) => (one === 'n' ? '\n' : one)),
    ])
    const sample = { labels: Object.fromEntries(read) as Record<string, string>, value: Number(number) }
    if (Object.keys(sample.labels).length !== pairs.length) throw new Error(`a label twice: ${line}`)
    const key = JSON.stringify([name, Object.entries(sample.labels).sort()])
    if (seen.has(key)) throw new Error(`a series twice: ${line}`)
    seen.add(key)
    found.get(name)?.push(sample)
  }
  for (const [name, samples] of found) if (samples.length === 0) throw new Error(`no sample: ${name}`)
  return found
}
