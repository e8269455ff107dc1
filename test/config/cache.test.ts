// What was read of a configuration is kept for the next run: it says the same, never more, and is never needed.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { type Config, certificateNamed, findCertificate } from '../../src/config/config.js'
import { cacheKey, fromCache, toCache } from '../../src/config/config-cache.js'
import { loadConfig } from '../../src/config/load.js'
import { configCache } from '../../src/state/config-cache.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { targetOptions } from '../../src/targets/index.js'
import { isRoot } from '../deploy-world.js'

const secret = 'bm90LXRvLWJlLWtlcHQtYW55d2hlcmU'

const text = `account:
  email: ops@example.com
  eab:
    zerossl: { kid: key-id, hmac-key-file: zerossl.key }
defaults:
  directory: { allow-older: true }
certificates:
  example.com:
    domains: [Example.com, "*.example.com"]
    issue: { challenge: dns-01, solver: exec, exec-auth: ./set, ca: [letsencrypt, zerossl], webroot: www }
    deploy:
      - directory: { path: out }
      - oss: { bucket: site, region: cn-hangzhou }
  by-hook:
    deploy:
      - directory: { path: /srv/out }
alerts:
  to: [{ feishu: { url-file: feishu-url, secret-file: /etc/secret } }, { slack: { url: "https://hooks.example/" } }]
  ping-file: ping-url
`

const open = (t: Test) => {
  const root = mkdtempSync(join(tmpdir(), 'acme-oss-config-cache-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const path = join(root, 'acme-oss.yaml')
  const folder = join(root, 'state/cache')
  writeFileSync(path, text)
  writeFileSync(join(root, 'zerossl.key'), secret)
  const state = StateFolder.at(join(root, 'state'))
  const load = (targets = targetOptions): Promise<Config> => loadConfig(path, targets, configCache(state))
  const kept = (): string[] => readdirSync(folder)
  const file = (): string => join(folder, kept()[0] as string)
  /** Makes what is kept say something else, so that whoever takes it can be told from whoever reads the file. */
  const mark = (): void => {
    const said = fromCache(readFileSync(file(), 'utf8'))
    if (said === undefined) throw new Error('nothing is kept')
    writeFileSync(file(), toCache({ ...said, account: { ...said.account, email: 'kept@example.com' } }))
  }
  return { root, path, folder, state, load, kept, file, mark }
}

/** Without what is a function. */
const saidBy = ({ path, account, certificates, alerts }: Config) => ({ path, account, certificates, alerts })
const wasKept = ({ account }: Config): boolean => account.email === 'kept@example.com'

t.test('it says the same as the file', async (t) => {
  const { load, path, mark, file, folder, state } = open(t)
  const plain = await loadConfig(path, targetOptions)
  const first = await load()
  const second = await load()
  t.strictSame(saidBy(first), saidBy(plain))
  t.strictSame(saidBy(second), saidBy(plain), 'paths, defaults and what is left out, too')
  t.match(second.certificates[0]?.deploy[0], { settings: { 'allow-older': true, path: join(path, '../out') } })
  for (const place of [
    [],
    ['certificates', 'example.com', 'deploy', 1, 'oss'],
    ['account', 'eab', 'zerossl'],
    ['no'],
  ]) {
    t.equal(second.where(place), plain.where(place))
  }
  t.match(second.where(['certificates', 'by-hook']), /acme-oss\.yaml:14: certificates\.by-hook$/)
  t.equal(certificateNamed(second, 'by-hook'), second.certificates[1])
  t.equal(findCertificate(second, 'other', ['*.example.com', 'example.com']), second.certificates[0])
  t.equal(findCertificate(second, 'other', ['example.com']), undefined)
  mark()
  t.ok(wasKept(await load()), 'the file is not looked into again')
  t.equal(statSync(file()).mode & 0o777, 0o600)
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.notMatch(readFileSync(file(), 'utf8'), secret)
  t.same(readdirSync(state.root), ['cache'])
})

t.test('a change of anything that it depends on is seen', async (t) => {
  const { load, path, kept, mark } = open(t)
  await load()
  mark()
  const before = kept()
  writeFileSync(path, text.replace('ops@', 'new@'))
  t.equal((await load()).account.email, 'new@example.com')
  t.equal(kept().length, 1, 'what was kept before goes')
  t.notSame(kept(), before)
  mark()
  t.notOk(wasKept(await load({ ...targetOptions, another: {} })), 'one more kind of targets')
  const source = { path, bytes: Buffer.from(text) }
  const key = cacheKey(source, targetOptions)
  t.equal(cacheKey({ ...source }, targetOptions), key)
  t.not(cacheKey({ ...source, path: '/elsewhere/acme-oss.yaml' }, targetOptions), key, 'paths are relative to it')
  t.not(cacheKey({ ...source, bytes: Buffer.from(`${text}\n`) }, targetOptions), key)
  t.not(cacheKey(source, targetOptions, '0.0.0'), key, 'another version may read it otherwise')
})

t.test('what is damaged is passed over, and made anew', async (t) => {
  const { load, file, mark } = open(t)
  await load()
  mark()
  const whole = readFileSync(file(), 'utf8')
  const damages = ['', '{}', '\n', whole.slice(0, -20), whole.replace('kept@', 'evil@'), whole.slice(1), `${whole}x`]
  for (const damage of damages) {
    writeFileSync(file(), damage)
    const config = await load()
    t.equal(config.account.email, 'ops@example.com', JSON.stringify(damage.slice(0, 20)))
    t.not(readFileSync(file(), 'utf8'), damage)
  }
  const path = file()
  rmSync(path)
  mkdirSync(path)
  t.equal((await load()).account.email, 'ops@example.com', 'a folder in its place')
})

t.test('where nothing can be kept, the file is read', async (t) => {
  const { load, root, state, folder } = open(t)
  writeFileSync(join(root, 'state'), 'a file where the folder should be')
  t.equal((await load()).account.email, 'ops@example.com')
  rmSync(state.root)
  if (isRoot) return
  mkdirSync(folder, { recursive: true })
  chmodSync(folder, 0o500)
  t.equal((await load()).account.email, 'ops@example.com')
  t.same(readdirSync(folder), [])
  chmodSync(folder, 0o700)
})

t.test('a file that is not in order is refused each time', async (t) => {
  const { load, path, state } = open(t)
  writeFileSync(path, text.replace('by-hook:\n    deploy', 'by-hook:\n    deplox'))
  for (let i = 0; i < 2; i++) {
    await t.rejects(load(), { code: 'CONFIG_INVALID', message: /:15: .*deplox is not known here$/ })
  }
  t.throws(() => readdirSync(state.root), { code: 'ENOENT' }, 'and nothing of it is kept')
  rmSync(path)
  await t.rejects(load(), { code: 'FILE_UNREADABLE' })
})

t.test('neither yaml nor zod is loaded for it', async (t) => {
  const { load, path, state } = open(t)
  const loaded = (): string => {
    const built = (file: string) => JSON.stringify(fileURLToPath(new URL(`../../../build/${file}`, import.meta.url)))
    const script = `
      import { createRequire, register } from 'node:module'
      register('data:text/javascript,' + encodeURIComponent(
        "import { writeSync } from 'node:fs'; export const load = (url, context, next) => { writeSync(1, url + '\\\\n'); return next(url, context) }"
      ))
      const { loadConfig } = await import(${built('config/load.js')})
      const { configCache } = await import(${built('state/config-cache.js')})
      const { StateFolder } = await import(${built('state/state-folder.js')})
      const { targetOptions } = await import(${built('targets/index.js')})
      await loadConfig(${JSON.stringify(path)}, targetOptions, configCache(StateFolder.at(${JSON.stringify(state.root)})))
      console.log(Object.keys(createRequire(import.meta.url).cache).join('\\n'))`
    const { NODE_OPTIONS: _, ...env } = process.env
    return execFileSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' })
  }
  const readers = /node_modules\/(yaml|zod)\//g
  const seen = (output: string): string[] => [...new Set([...output.matchAll(readers)].map(([, name = '']) => name))]
  t.same(seen(loaded()).sort(), ['yaml', 'zod'], 'the first time they are')
  t.same(seen(loaded()), [])
  t.ok(await load())
})
