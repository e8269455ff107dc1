// A hold as the pipeline keeps to it, without a command around it.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { archiveName, type CertificateBundle } from '../../src/certificate/bundle.js'
import { normalize } from '../../src/certificate/normalize.js'
import { CertError } from '../../src/errors.js'
import { HttpConnections } from '../../src/http-connections.js'
import { deploy, keepUnresolved, wantedTargets } from '../../src/pipeline/deploy.js'
import { planDeployment } from '../../src/pipeline/plan.js'
import { holdOn, whatIsKnown } from '../../src/pipeline/rollback.js'
import { Secret } from '../../src/secret.js'
import { Deployment, readDeployments } from '../../src/state/deployments.js'
import { endHold, readHold } from '../../src/state/hold.js'
import { withLock } from '../../src/state/lock.js'
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
  const holdAt = async (bundle: CertificateBundle) =>
    holdOn(state, bundle, await whatIsKnown(state, 'x', (await readDeployments(state, 'x')).records), [], now)
  for (const bundle of [good, bad]) await deploy({ ...plain, bundle, targets: at() })
  await deploy({ ...plain, bundle: good, targets: allowing, hold: await holdAt(good) })
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

  await t.test('is known again where it had been superseded, and the hold was over', async (t) => {
    const next = await bundleOf(-5)
    await deploy({ ...plain, bundle: next, targets: at() })
    t.equal(await readHold(state, 'x'), undefined)
    await deploy({ ...plain, bundle: good, targets: allowing, hold: await holdAt(good) })
    t.same(
      [...((await readHold(state, 'x'))?.away ?? [])].sort(),
      [bad, next].map(({ fingerprint }) => fingerprint.sha256).sort(),
    )
    const { stages } = await deploy({ ...plain, bundle: bad, targets: at() })
    t.same([stages, latest()], [[], good.leaf])
  })

  await t.test(
    'stays away while an older one does not take the place, and is free when one that is insisted on does',
    async (t) => {
      const older = await bundleOf(-40)
      const typed = { ...plain, bundle: older, hold: 'end' } as const
      await deploy({ ...typed, targets: at() })
      t.match([latest(), await readHold(state, 'x')], [good.leaf, { sha256: good.fingerprint.sha256 }])
      await deploy({ ...typed, targets: allowing })
      t.strictSame([latest(), await readHold(state, 'x')], [older.leaf, undefined])
      await deploy({ ...plain, bundle: good, targets: allowing, hold: await holdAt(good) })
    },
  )

  await t.test('is not deployed where the hold was damaged or copied; what comes anew is', async (t) => {
    const text = readFileSync(file, 'utf8')
    const damaged = { code: 'STATE_UNUSABLE', message: /hold\.json is damaged/, hint: /acme-oss rollback x --to/ }
    for (const spoilt of ['{', '[]', text.replace('"x"', '"y"'), text.replace(/"away": \[[^\]]*\]/, '"away": ["z"]')]) {
      writeFileSync(file, spoilt)
      await t.rejects(readHold(state, 'x'), damaged, spoilt.slice(0, 20))
    }
    const handed = await deploy({ ...plain, bundle: bad, targets: at() })
    t.match([handed.stages, handed.warnings], [[], [/is damaged.*this certificate may be that/]])
    t.equal(latest(), good.leaf)
    const held = await deploy({ ...plain, bundle: good, targets: at() })
    t.match([held.stages.length, held.warnings], [1, [/is damaged/]])
    t.ok(existsSync(file), 'what may be held does not end it')

    const [later, last] = await Promise.all([bundleOf(-3), bundleOf(-2)])
    const { warnings } = await deploy({ ...plain, bundle: later, targets: at() })
    t.match(warnings, [/is damaged.*that is over/])
    t.strictSame([latest(), existsSync(file)], [later.leaf, false])

    await deploy({ ...plain, bundle: last, targets: at() })
    writeFileSync(file, '{')
    await deploy({ ...plain, bundle: later, targets: allowing, hold: await holdAt(later) })
    t.match(await readHold(state, 'x'), { sha256: later.fingerprint.sha256 }, 'a rollback makes it anew')
    writeFileSync(file, '{')
    await deploy({ ...plain, bundle: bad, targets: allowing, hold: 'end' })
    t.strictSame([latest(), existsSync(file)], [bad.leaf, false], 'whoever types gets it')
  })

  await t.test('is free again where the hold was taken away', async (t) => {
    await deploy({ ...plain, bundle: good, targets: allowing, hold: await holdAt(good) })
    t.equal(await endHold(state, 'x'), true)
    t.equal(await endHold(state, 'x'), false)
    const { warnings } = await deploy({ ...plain, bundle: bad, targets: allowing })
    t.same(warnings, [])
    t.equal(latest(), bad.leaf)
  })

  await t.test('is not one that came when it was chosen already what to go back to', async (t) => {
    const [deployed, noted] = await Promise.all([bundleOf(-1), bundleOf(-1)])
    const overtaken = async (come: CertificateBundle, how: () => Promise<unknown>) => {
      const rollback = { ...plain, bundle: good, targets: allowing, hold: await holdAt(good) }
      await how()
      const files = () => readdirSync(state.root, { recursive: true }).toSorted()
      const before = [files(), latest()]
      await t.rejects(deploy(rollback), {
        code: 'OVERTAKEN',
        message: new RegExp(`a new certificate came meanwhile: ${archiveName(come)}`),
        hint: /acme-oss rollback x/,
      })
      t.same([files(), latest()], before, 'nothing is touched')
      t.equal(await readHold(state, 'x'), undefined)
      const { warnings } = await deploy({ ...plain, bundle: come, targets: at() })
      t.same([latest(), warnings], [come.leaf, []])
    }
    await overtaken(deployed, () => deploy({ ...plain, bundle: deployed, targets: at() }))
    // While it waits for the lock, which the rollback gets first.
    await overtaken(noted, () => Deployment.note(state, noted, wantedTargets(planDeployment(noted, at())), now))
  })

  await t.test('is not to be replaced by a rollback that waited in vain', async (t) => {
    const unknown = await bundleOf(-2)
    const ending = new AbortController()
    const waits = { onWait: () => ending.abort(), signal: ending.signal }
    const hold = await holdAt(unknown)
    await withLock(state, 'x', { signal }, () =>
      t.rejects(deploy({ ...plain, ...waits, bundle: unknown, targets: allowing, hold }), { code: 'LOCKED' }),
    )
    const { records } = await readDeployments(state, 'x')
    t.notOk(records.some(({ fingerprint }) => fingerprint.sha256 === unknown.fingerprint.sha256))
  })
})
