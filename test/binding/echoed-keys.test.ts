// A product that repeats what it was sent: nothing of it is printed or kept, and what is printed with --json is JSON.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stepError } from '../deploy-world.js'
import { generateKey, keyPem } from '../mint.js'
import { lineOf, mint, openBinding, proveNoKeyLeaks, type SyncShape } from './binding-world.js'

const host = 'www.example.com'
const material = await mint({ names: ['example.com', '*.example.com'] })
const sent = keyPem(material.privateKey, 'sec1')
const der = sent.replace(/-----[^-]+-----|\n/g, '')
const token = 'CAIS/token+with==specials+0123456789/abcdefghij'
const code = 'InvalidSSLPri'

const recordsOf = (state: string): string[] =>
  readdirSync(join(state, 'deployments'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('record.json'))
    .map((name) => join(state, 'deployments', name))

const echoes: Readonly<Record<string, string>> = {
  'as it is': sent,
  'in one line': sent.replaceAll('\n', ' '),
  'percent-encoded': encodeURIComponent(sent),
  'percent-encoded twice': encodeURIComponent(encodeURIComponent(sent)),
  'JSON-escaped': JSON.stringify(sent),
  'in base64': Buffer.from(sent).toString('base64'),
  'a part of its DER': der.slice(10, 90),
  'the token': `${token} ${encodeURIComponent(token)}`,
  'the token, encoded twice': encodeURIComponent(encodeURIComponent(token)),
}

for (const [how, echo] of Object.entries(echoes)) {
  t.test(`what was sent comes back: ${how}`, async (t) => {
    const world = await openBinding(t, { key: { token } })
    world.emulator.addCdnDomain(host)
    world.emulator.fail({ action: 'cdn:SetCdnDomainSSLCertificate' }, { status: 400, code, message: `bad: ${echo}` })
    const words = ['--cdn-domain', host, '--enable-https', ...world.toEdges]
    const { result } = await world.give(t, material, words, { code: 1 })
    t.match(stepError(result), { code: 'CLOUD_REFUSED', vendor: { code } })
    t.match(result.pending[0]?.error, { message: /InvalidSSLPri/ })
    const status = await world.run(['status', '--json', '--no-look'])
    t.match(lineOf<SyncShape>(status).results[0]?.pending[0]?.error, { vendor: { code } })
    const [record, ...others] = recordsOf(world.state)
    t.same(others, [])
    const kept = readFileSync(record ?? '', 'utf8').replace(/[^A-Za-z0-9]/g, '')
    t.match(kept, code, 'the refusal is remembered')
    for (const secret of [der, token].map((text) => text.replace(/[^A-Za-z0-9]/g, '')))
      for (let at = 0; at + 16 <= secret.length; at++)
        if (kept.includes(secret.slice(at, at + 16))) t.fail(`the record holds ${secret.slice(at, at + 16)}`)
  })
}

t.test('a key in a record of old', async (t) => {
  const world = await openBinding(t)
  world.emulator.addCdnDomain(host)
  world.emulator.fail({ action: 'cdn:SetCdnDomainSSLCertificate' }, { status: 400, code, message: 'bad: HERE' })
  await world.give(t, material, ['--cdn-domain', host, '--enable-https', ...world.toEdges], { code: 1 })
  const stray = keyPem(generateKey('ec256'), 'sec1').slice(0, 120)
  for (const path of recordsOf(world.state))
    writeFileSync(path, readFileSync(path, 'utf8').replace('HERE', JSON.stringify(stray).slice(1, -1)))
  const { results } = lineOf<SyncShape>(await world.run(['status', '--json', '--no-look']))
  t.match(results[0]?.pending[0]?.error?.message, /\(bad: \[secret\]/)
})

await proveNoKeyLeaks(t)
