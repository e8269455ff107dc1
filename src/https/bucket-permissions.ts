import { hostingActions } from '../aliyun/bound-domains.js'
import type { Permission } from '../aliyun/ram-policy.js'

export interface BucketHttpsUse {
  readonly bucket: string
  /** Is it to be changed, rather than only looked at? */
  readonly changes: boolean
  /** Are the certificates that OSS hosts to be deleted, and bound again (disable and restore)? */
  readonly certificates: boolean
}

/** The rights that looking at a bucket's HTTPS and changing it uses. */
export const bucketHttpsPermissions = ({ bucket, changes, certificates }: BucketHttpsUse): readonly Permission[] => {
  const resources = [`acs:oss:*:*:${bucket}`]
  return [
    {
      // The vendor's own pages disagree on what they are called.
      actions: ['oss:GetBucketHttpsConfig', 'oss:GetTLSVersion'],
      resources,
      needed: changes,
      why: 'sees which TLS versions the bucket speaks',
    },
    {
      actions: ['oss:GetBucketPolicy'],
      resources,
      needed: changes,
      why: 'sees whether the policy of the bucket denies plain HTTP',
    },
    {
      actions: ['oss:ListCname'],
      resources,
      needed: certificates,
      why: certificates
        ? 'sees which certificates OSS hosts, so that they can be bound again'
        : 'finds the domains of the bucket',
    },
    ...(changes
      ? [
          {
            actions: ['oss:PutBucketHttpsConfig', 'oss:PutTLSVersion'],
            resources,
            needed: true,
            why: 'chooses the TLS versions that the bucket speaks',
          },
          {
            actions: ['oss:PutBucketPolicy', 'oss:DeleteBucketPolicy'],
            resources,
            needed: true,
            why: 'denies plain HTTP in the policy of the bucket, and lets it in again (whoever has this can open the bucket to everybody, so a user of its own is better)',
          },
        ]
      : []),
    ...(certificates
      ? [
          {
            actions: ['oss:PutCname'],
            resources,
            needed: true,
            why: 'deletes the certificates that OSS hosts for the domains of the bucket, and binds them again',
          },
          {
            actions: hostingActions,
            // The service knows no smaller one.
            resources: ['*'],
            needed: false,
            why: 'OSS asks for these of whoever has it host a certificate',
          },
        ]
      : []),
  ]
}
