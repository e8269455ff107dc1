// The schema for editors says the same as `config check`: held against it by a validator of just what it uses.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { issuerFlags } from '../../src/cli/issuer-flags.js'
import { targetFlags } from '../../src/cli/target-flags.js'
import { receiverKinds, signedKinds } from '../../src/config/alerts.js'
import { keyTypes } from '../../src/issuer/certificate-key.js'
import { solverNames } from '../../src/solvers/index.js'
import { targetOptions } from '../../src/targets/index.js'
import { inTurns, openConfigWorld } from './config-world.js'

interface Schema {
  readonly $schema?: string
  readonly title?: string
  readonly description?: string
  readonly type?: string
  readonly format?: string
  readonly pattern?: string
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly propertyNames?: Schema
  readonly additionalProperties?: false | Schema
}

/** The words of draft 2020-12 that are understood below. */
const known = new Set(
  '$schema title description type format pattern enum minimum maximum minItems minProperties maxProperties required items anyOf properties propertyNames additionalProperties'.split(
    ' ',
  ),
)

const typeOf = (value: unknown): string =>
  Array.isArray(value) ? 'array' : value === null ? 'null' : Number.isInteger(value) ? 'integer' : typeof value

const accepts = (schema: Schema, value: unknown): boolean => {
  const { type, pattern, minItems = 0, minProperties = 0, maxProperties = Number.POSITIVE_INFINITY } = schema
  if (type !== undefined && typeOf(value) !== type) return false
  if (schema.anyOf !== undefined && !schema.anyOf.some((one) => accepts(one, value))) return false
  if (schema.enum !== undefined && !schema.enum.includes(value)) return false
  if (typeof value === 'string') return pattern === undefined || new RegExp(pattern, 'u').test(value)
  if (typeof value === 'number') return value >= (schema.minimum ?? value) && value <= (schema.maximum ?? value)
  if (Array.isArray(value)) return value.length >= minItems && value.every((one) => accepts(schema.items ?? {}, one))
  if (typeof value !== 'object' || value === null) return true
  const entries = Object.entries(value)
  return (
    entries.length >= minProperties &&
    entries.length <= maxProperties &&
    (schema.required ?? []).every((name) => Object.hasOwn(value, name)) &&
    entries.every(([name, one]) => {
      if (schema.propertyNames !== undefined && !accepts(schema.propertyNames, name)) return false
      const { properties = {}, additionalProperties = {} } = schema
      const own = Object.hasOwn(properties, name) ? properties[name] : additionalProperties
      return own !== undefined && own !== false && accepts(own, one)
    })
  )
}

const below = (schema: Schema): Schema[] => [
  schema,
  ...[
    ...Object.values(schema.properties ?? {}),
    ...(schema.anyOf ?? []),
    ...[schema.items, schema.propertyNames, schema.additionalProperties || undefined].filter(
      (one) => one !== undefined,
    ),
  ].flatMap(below),
]

const at = (schema: Schema | undefined, ...path: readonly string[]): Schema => {
  const [part, ...rest] = path
  if (schema === undefined) throw new Error(`there is no ${part}`)
  if (part === undefined) return schema
  if (part === '*') return at(schema.items ?? (schema.additionalProperties || undefined), ...rest)
  return at(schema.properties?.[part], ...rest)
}

const keys = (schema: Schema): string[] => Object.keys(schema.properties ?? {}).sort()

const world = await openConfigWorld(t)
const printed = await world.run(['config', 'schema'], { terse: true })
const schema = JSON.parse(printed.stdout) as Schema

t.test('a JSON Schema, which needs no configuration', async (t) => {
  t.match(printed, { code: 0, stderr: '' })
  t.match(schema, { title: 'acme-oss.yaml', $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' })
  for (const one of below(schema)) {
    t.same(
      Object.keys(one).filter((word) => !known.has(word)),
      [],
      'words of JSON Schema',
    )
    if (one.properties !== undefined) t.equal(one.additionalProperties, false, 'no other keys')
  }
  const broken = await world.run(['config', 'schema'], {
    terse: true,
    environment: { ACME_OSS_CONFIG: world.write('broken.yaml', 'a: [') },
  })
  t.equal(broken.stdout, printed.stdout, 'nor one that is in order')
})

t.test('it knows every option of every target', async (t) => {
  t.same(keys(schema), ['account', 'alerts', 'certificates', 'defaults'])
  t.same(keys(at(schema, 'alerts')), ['expiry-days', 'ping', 'ping-file', 'to'])
  const receivers = at(schema, 'alerts', 'to', '*')
  t.same(keys(receivers), [...receiverKinds].sort())
  for (const kind of receiverKinds) {
    const secret = signedKinds.includes(kind) ? ['secret-file'] : []
    t.same(keys(at(receivers, kind)), [...secret, 'url', 'url-file'], kind)
  }
  t.same(keys(at(schema, 'account')), ['agree-tos', 'eab', 'email'])
  t.same(keys(at(schema, 'account', 'eab', '*')), ['hmac-key-file', 'kid'])
  t.same(keys(at(schema, 'certificates', '*')), ['deploy', 'domains', 'issue'])
  for (const place of [at(schema, 'defaults'), at(schema, 'certificates', '*', 'deploy', '*')]) {
    t.same(keys(place), Object.keys(targetOptions).sort())
    for (const [kind, options] of Object.entries(targetOptions)) {
      t.same(keys(at(place, kind)), Object.keys(options).sort(), kind)
      for (const [name, about] of Object.entries(options)) {
        const { type, description, enum: choices } = at(place, kind, name)
        t.equal(type, { switch: 'boolean', number: 'integer', text: 'string' }[about.kind], `${kind}: ${name}`)
        t.equal(description, about.describe)
        t.same(choices, about.kind === 'text' ? about.choices : undefined)
      }
    }
  }
})

t.test('every key is called as its flag', async (t) => {
  const issue = keys(at(schema, 'certificates', '*', 'issue'))
  for (const key of [...issue, 'email', 'agree-tos']) t.ok(Object.hasOwn(issuerFlags, key), key)
  // Who we are stands with the account, the names with the entry; the rest is for one run.
  const elsewhere = ['domain', 'email', 'agree-tos', 'eab-kid', 'eab-hmac-key-file', 'force-renewal']
  t.same([...issue, ...elsewhere].sort(), Object.keys(issuerFlags).sort(), 'and every flag of an order has one')
  for (const key of Object.keys(targetOptions['oss'] ?? {})) t.ok(Object.hasOwn(targetFlags, key), key)
})

t.test('the page about it', async (t) => {
  const page = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')
  for (const one of below(schema)) for (const key of keys(one)) t.ok(page.includes(`\`${key}\``), `${key} stands there`)
  for (const word of [...keyTypes, ...solverNames]) t.ok(page.includes(`\`${word}\``), word)
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? []
  const { json } = await world.check(example)
  const [, shown = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? []
  const documented = JSON.parse(shown) as typeof json
  t.same(Object.keys(json), Object.keys(documented), 'what check prints, key by key')
  t.same(json.certificates?.[0], documented.certificates?.[0], 'and of the example, as shown')
})

t.test('it says the same of a document as check does', async (t) => {
  const oss = { bucket: 'my-certs', region: 'cn-hangzhou' }
  const inEntry = (entry: unknown): unknown => ({ certificates: { 'a.example': entry } })
  const target = (one: unknown): unknown => inEntry({ deploy: [one] })
  const order = (issue: unknown): unknown => inEntry({ domains: ['a.example'], issue })
  const told = (...to: readonly unknown[]): unknown => ({ alerts: { to } })
  const good: readonly unknown[] = [
    {},
    { alerts: {} },
    { alerts: { to: [], 'ping-file': 'a', 'expiry-days': 14 } },
    told({ webhook: { url: 'https://hooks.example/a?b' } }, { dingtalk: { 'url-file': 'a', 'secret-file': 'b' } }),
    told({ slack: { url: 'http://127.0.0.1:8080/' } }),
    { account: { email: 'a@example.com', 'agree-tos': true, eab: { zerossl: { kid: 'a', 'hmac-key-file': 'b' } } } },
    { defaults: { oss: { bucket: 'my-certs' }, directory: {} } },
    inEntry({}),
    target({ oss: { ...oss, sse: 'KMS', 'allow-older': false } }),
    target({ directory: { path: 'a', 'allow-older': true } }),
    order({}),
    order({ ca: 'zerossl', solver: 'standalone', 'http-port': 8080, 'key-type': 'rsa2048', 'ca-bundle': 'a' }),
    order({ ca: ['letsencrypt', 'https://ca.example/dir'], solver: 'webroot', webroot: 'a' }),
    order({ challenge: 'dns-01', solver: 'exec', 'exec-auth': '/a\n  b', 'exec-cleanup': 'c' }),
  ]
  const bad: readonly unknown[] = [
    [],
    'text',
    { acount: {} },
    { alerts: null },
    { alerts: { 'expiry-days': 0 } },
    { alerts: { ping: 'hc.example' } },
    told({}),
    told({ webhook: {} }),
    told({ webhook: { url: 'ftp://hooks.example/' } }),
    told({ webhook: { url: 'https://hooks.example/' }, slack: { 'url-file': 'a' } }),
    told({ slack: { 'url-file': 'a', 'secret-file': 'b' } }),
    told({ pager: { 'url-file': 'a' } }),
    { account: null },
    { account: { email: 'a' } },
    { account: { 'agree-tos': 'yes' } },
    { account: { eab: { zerossl: { kid: 'a' } } } },
    { account: { eab: { zerossl: { kid: '', 'hmac-key-file': 'b' } } } },
    { defaults: { ftp: {} } },
    { certificates: { '': {} } },
    { certificates: { 'a\u001bb': {} } },
    inEntry(null),
    inEntry({ domains: 'a.example' }),
    inEntry({ domains: [] }),
    inEntry({ deploy: { oss } }),
    target({}),
    target({ oss, directory: { path: 'a' } }),
    target({ oss: null }),
    target({ oss: { ...oss, sse: 'aes' } }),
    target({ oss: { ...oss, prefix: 5 } }),
    target({ directory: { path: ' ' } }),
    target({ directory: { path: 'a', 'allow-older': 1 } }),
    order({ solvr: 'exec' }),
    order({ ca: [] }),
    order({ ca: 5 }),
    order({ challenge: 'dns' }),
    order({ 'http-port': '80' }),
    order({ 'http-port': 80.5 }),
    order({ 'http-port': 0 }),
    order({ solver: 'exec', 'exec-auth': ' ' }),
  ]
  const cases = [...good.map((one) => [one, true] as const), ...bad.map((one) => [one, false] as const)]
  await inTurns([...cases.entries()], async ([i, [document, isGood]]) => {
    const text = JSON.stringify(document)
    t.equal(accepts(schema, document), isGood, `the schema: ${text}`)
    const { code, json } = await world.check(text, `${i}.yaml`)
    t.equal(code, isGood ? 0 : 2, `check: ${text}: ${json.error?.message}`)
  })
})
