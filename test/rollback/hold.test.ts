// A hold as the pipeline keeps to it, without a command around it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { normalize } from '../../src/certificate/normalize.js'
import { CertError } from '../../src/errors.js'
import { HttpConnections } from '../../src/http-connections.js'
import { deploy, keepUnresolved } from '../../src/pipeline/deploy.js'
import { holdOn } from '../../src/pipeline/rollback.js'
import { Secret } from '../../src/secret.js'
import { readDeployments } from '../../src/state/deployments.js'
import { endHold, readHold } from '../../src/state/hold.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { createTarget } from '../../src/targets/index.js'
import { daysFromNow, mintMaterial } from '../deploy-world.js'

const bundleOf = async (begins: number) => {
  const material = await mintMaterial({ notBefore: daysFromNow(begins), notAfter: daysFromNow(begins + 80) })
  const { fullchain, key } = material
  return normalize({ name: 'x', certificates: fullchain, privateKey: Secret.material(key) }, new Date()).bundle
}

t.test('a certificate that was rolled back from', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-hold-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const state = await StateFolder.open(join(folder, 'state'))
  const connections = new HttpConnections()
  t.teardown(() => connections.close())
  const now = () => new Date()
  const credentials = () => Promise.reject(new Error('nothing is reached for'))
  const context = { connections, credentials, timeout: 1000, now }
  const at = (settings: object = {}) => [createTarget('directory', { path: join(folder, 'to'), ...settings }, context)]
  const [good, bad] = await Promise.all([bundleOf(-30), bundleOf(-10)])
  const signal = new AbortController().signal
  const plain = { state, now, signal, observer: {} }
  const latest = () => readFileSync(join(folder, 'to', 'latest', 'cert.pem'), 'utf8')
  const file = state.path('deployments', 'x', 'hold.json')
  const allowing = at({ 'allow-older': true })
  for (const bundle of [good, bad]) await deploy({ ...plain, bundle, targets: at() })
  await deploy({ ...plain, bundle: good, targets: allowing, hold: holdOn(state, good, [], now) })
  t.equal(latest(), good.leaf)
  t.match(await readHold(state, 'x'), { sha256: good.fingerprint.sha256, away: [bad.fingerprint.sha256] })

  await t.test('is not deployed, and its order is over all the same', async (t) => {
    let isOver = false
    const onRecorded = async (): Promise<void> => {
      isOver = true
    }
    const { stages, warnings } = await deploy({ ...plain, bundle: bad, targets: at(), onRecorded })
    t.same([stages, warnings.length, isOver], [[], 1, true])
    t.equal(latest(), good.leaf)
  })

  await t.test('is not written down for later, where nobody knows where it goes', async (t) => {
    const pending = await keepUnresolved({ bundle: bad, state, now, signal }, new CertError('CONFIG_INVALID', 'broken'))
    const { records } = await readDeployments(state, 'x')
    t.same(pending, [])
    t.same(
      records.map(({ unresolved }) => unresolved),
      [null, null],
    )
  })

  await t.test('counts for nothing where it was in place, so that it keeps no other out', async (t) => {
    const { records } = await readDeployments(state, 'x')
    const [of] = records.filter(({ fingerprint }) => fingerprint.sha256 === bad.fingerprint.sha256)
    t.same(
      Object.values(of?.targets ?? {}).flatMap(({ steps }) => Object.values(steps).map(({ status }) => status)),
      ['superseded', 'superseded'],
    )
  })

  await t.test('is free again where the hold was damaged, copied from another name, or taken away', async (t) => {
    const text = readFileSync(file, 'utf8')
    for (const spoilt of ['{', '[]', text.replace('"x"', '"y"'), text.replace(/"away": \[[^\]]*\]/, '"away": ["z"]')]) {
      writeFileSync(file, spoilt)
      t.equal(await readHold(state, 'x'), undefined, spoilt.slice(0, 20))
    }
    t.equal(await endHold(state, 'x'), true)
    t.equal(await endHold(state, 'x'), false)
    const { warnings } = await deploy({ ...plain, bundle: bad, targets: at() })
    t.same(warnings, [])
    t.equal(latest(), bad.leaf)
  })
})
