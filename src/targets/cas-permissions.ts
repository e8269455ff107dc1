import type { Permission } from '../aliyun/ram-policy.js'

// The service knows no smaller one.
const resources = ['*']

/** The rights that keeping a certificate in the certificate service uses. */
export const keepingPermission: Permission = {
  actions: [
    'yundun-cert:GetUserCertificateDetail',
    'yundun-cert:ListUserCertificateOrder',
    'yundun-cert:UploadUserCertificate',
  ],
  resources,
  needed: true,
  why: 'keeps certificates in the certificate service, and finds them there again',
}

/** The same, with those for tidying up. */
export const casPermissions = ({ prune }: { readonly prune: boolean }): readonly Permission[] => [
  keepingPermission,
  ...(prune
    ? [
        {
          actions: ['yundun-cert:DeleteUserCertificate'],
          resources,
          needed: false,
          why: 'deletes what we put into the certificate service and what has expired since',
        },
      ]
    : []),
]
