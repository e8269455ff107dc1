import t from 'tap'
import { openDoctor } from './doctor-world.js'

t.test('x', async (t) => {
  const world = await openDoctor(t)
  const run = await world.run(['doctor', ...world.reach, ...world.connect, ...world.targets], {
    environment: world.environment,
    terse: true,
  })
  console.error(run.stdout, run.stderr, run.code)
  t.pass()
})
