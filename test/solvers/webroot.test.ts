import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Challenge } from '../../src/solvers/solver.js'
import { webroot } from '../../src/solvers/webroot.js'

const { signal } = new AbortController()

const challenge: Challenge = {
  type: 'http-01',
  domain: 'example.com',
  token: 'a-token',
  place: '/.well-known/acme-challenge/a-token',
  value: 'a-token.thumbprint',
}

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8)

t.test('a link that somebody put in the place is not followed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-webroot-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const place = join(folder, 'web', '.well-known', 'acme-challenge')
  mkdirSync(place, { recursive: true })
  const victim = join(folder, 'victim')
  writeFileSync(victim, 'only for root', { mode: 0o600 })
  symlinkSync(victim, join(place, challenge.token))

  const solver = webroot({ folder: join(folder, 'web') })
  await solver.present(challenge, [challenge], signal)
  t.equal(readFileSync(join(place, challenge.token), 'utf8'), challenge.value)
  t.equal(mode(join(place, challenge.token)), '644')
  t.equal(readFileSync(victim, 'utf8'), 'only for root')
  t.equal(mode(victim), '600')
  await solver.cleanUp(challenge, [challenge], signal)
  t.notOk(existsSync(join(place, challenge.token)))
  t.ok(existsSync(victim))
})

t.test('an answer that another order has there is not touched, and what is not whole is replaced', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-webroot-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, challenge.place)
  const solver = webroot({ folder })
  await solver.present(challenge, [challenge], signal)
  // A second name keeps its number from being used again.
  linkSync(file, join(folder, 'first'))
  const { ino } = statSync(file)
  await solver.present(challenge, [challenge], signal)
  t.equal(statSync(file).ino, ino)
  for (const spoil of [() => writeFileSync(file, 'a-token.thumbprinT'), () => chmodSync(file, 0o600)]) {
    spoil()
    await solver.present(challenge, [challenge], signal)
    t.equal(readFileSync(file, 'utf8'), challenge.value)
    t.equal(mode(file), '644')
  }
  t.not(statSync(file).ino, ino)
})

t.test('modes do not depend on the umask', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-webroot-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const before = process.umask(0o77)
  t.teardown(() => process.umask(before))
  const solver = webroot({ folder })
  await solver.present(challenge, [challenge], signal)
  t.equal(mode(join(folder, '.well-known')), '755')
  t.equal(mode(join(folder, '.well-known/acme-challenge')), '755')
  t.equal(mode(join(folder, challenge.place)), '644')
  await solver.cleanUp(challenge, [challenge], signal)
  await solver.close?.()
  t.notOk(existsSync(join(folder, '.well-known')), 'nothing is left behind')
})
